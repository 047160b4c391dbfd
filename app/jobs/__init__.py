"""Background jobs of a running server.

- Retention (`retention.py`): deletes expired rows, first 10 seconds after the start, then every hour.
  Each worker process runs the job; a lease lets one process at a time delete.

All other work runs within requests. `deckwatch db prune` runs retention once from the command line.
"""
