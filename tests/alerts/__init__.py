"""The alert list and the alert page."""
