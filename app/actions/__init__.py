"""Changes that users and administrators make: each function is one transaction, with its audit entry."""
