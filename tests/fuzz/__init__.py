"""Fuzz tests of ingest: random bodies sent to both endpoints."""
