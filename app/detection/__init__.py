"""Detection: rule files, EQL queries, the detector, and explanations. No web, no SQL."""
