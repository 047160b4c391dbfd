"""The server process: settings, logs, metrics, live updates, failures and shutdown."""
