"""Detection: rule files, EQL, the generated detector and explanations."""
