"""Parser and compiler for single-event EQL queries. `query.compile_query` is the entry point."""
