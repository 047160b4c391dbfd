"""The vocabulary of Deckwatch as plain Python: no web, no SQL, no clock of its own."""
