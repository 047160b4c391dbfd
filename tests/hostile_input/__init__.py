"""Hostile events and requests: nothing breaks a page, blocks another event or causes a 5xx."""
