"""Detection: rule files, EQL queries, the detector, and explanations. It imports neither web nor SQL code."""
