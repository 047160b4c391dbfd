"""The rule list and the page of one rule."""
