"""The `deckwatch` command: one file per command group, assembled in main.py."""
