"""The page on which admins manage users."""
