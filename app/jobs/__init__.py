"""Background jobs of a running server.

- Retention (`retention.py`): deletes expired rows, 10 seconds after the start and then every hour. Each
  worker process runs the job, and a lease ensures that only one process at a time deletes rows.

There are no other jobs. The command `deckwatch db prune` runs retention once.
"""
