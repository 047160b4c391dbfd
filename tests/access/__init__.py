"""Access control: every route by role, and signing in."""
