"""The domain model: exclusions, guides, traffic and wildcards."""
