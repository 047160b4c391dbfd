"""Generation of Python functions from rules. `generator.generate` is the entry point."""
