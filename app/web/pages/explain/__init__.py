"""The page that explains why an event matches rules or not."""
