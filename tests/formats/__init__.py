"""Conversion of each agent's events to ECS."""
