"""The `deckwatch` command line and the demo."""
