"""The page that explains why an event matches or does not match the rules."""
