"""Retention: what is deleted when, and what is kept."""
