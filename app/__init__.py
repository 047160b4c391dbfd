"""Deckwatch: detection and triage of SSH in containers."""

__version__ = "0.1.0"
