"""Proposing, approving, editing and ending exclusions."""
