"""Single-event EQL. `query.compile_query` is the entry point; it uses `parser` and `clauses`."""
