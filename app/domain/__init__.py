"""The vocabulary of Deckwatch as plain Python. It uses neither the web nor SQL, and never reads the clock."""
