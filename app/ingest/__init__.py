"""Ingest of request bodies: decompress, split into events, evaluate the rules, store the matches."""
