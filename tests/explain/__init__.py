"""Explaining an event, on the page and on the command line."""
