"""Users and API keys: creation, invitation, revocation."""
