"""Paths of pages that other pages link to."""

ALERTS_PATH = "/alerts"
EXCLUSIONS_PATH = "/exclusions"
EXPLAIN_PATH = "/explain"
RULES_PATH = "/rules"
