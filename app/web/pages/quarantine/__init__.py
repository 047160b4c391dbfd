"""The pages of quarantined events, and their export, retry and deletion."""
