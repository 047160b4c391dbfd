"""Ingest: splitting, evaluation, both endpoints, receipts and limits."""
