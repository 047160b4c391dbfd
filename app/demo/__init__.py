"""The demo server with sample events, started by `deckwatch demo`."""
