"""From the bytes of a body to durable matches: decompress, split, evaluate, record, write."""
