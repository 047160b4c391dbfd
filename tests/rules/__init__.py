"""The rule pages, and enabling and disabling rules."""
