"""The domain model in plain Python. It does not use the web framework or SQL, and never reads the clock."""
