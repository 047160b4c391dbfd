"""How much of a text a sentence may hold: arguments can be a megabyte long, a page cannot."""

_LONGEST = 400


def shown(text: str) -> str:
    """The text, or its beginning and how many characters were left out."""
    left_out = len(text) - _LONGEST
    return text if left_out <= 0 else f"{text[:_LONGEST]}… ({left_out:,} more characters)"
