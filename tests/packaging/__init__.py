"""The built wheel: it contains everything that the program needs."""
