"""Generation of Python functions that match events against rules. `generator.generate` is the entry point."""
