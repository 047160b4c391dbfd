"""Rules in, decisions out; knows nothing of HTTP or SQL."""
