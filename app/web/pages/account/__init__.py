"""Pages for signing in, for setting a password with a one-time link, and for one's own account."""
