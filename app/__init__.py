"""Deckwatch: SSH in containers, from event to closed alert."""

__version__ = "0.1.0"
