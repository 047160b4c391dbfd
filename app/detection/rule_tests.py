"""Evaluation of the test events that rule files contain."""

import json

from app.detection.detector import Detector
from app.detection.rule import Rule
from app.detection.rule_file_problem import RuleFileProblem


def run_tests(rule: Rule) -> list[RuleFileProblem]:
    """Evaluate the test events of `rule`, and return a problem for each unexpected result."""
    detector = Detector([rule])
    problems = []
    for test in rule.tests:
        matching_rules = detector.match_json(json.dumps(test.event).encode())
        if matching_rules is None:
            matching_rules = detector.match_document(test.event)
        if bool(matching_rules) is not test.matches:
            difference = "does not match but should" if test.matches else "matches but should not"
            message = f"test '{test.name}' {difference}"
            problems.append(RuleFileProblem(rule.path, test.line, None, message))
    return problems
