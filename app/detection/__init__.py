"""Rule files, EQL queries, the detector and explanations. This package imports no web or SQL code."""
