"""How much of a text a sentence may hold: arguments can be a megabyte long, a page cannot."""

_MAX_LENGTH = 400


def truncate_message(text: str) -> str:
    """The text, or its beginning and how many characters were left out."""
    left_out = len(text) - _MAX_LENGTH
    return text if left_out <= 0 else f"{text[:_MAX_LENGTH]}… ({left_out:,} more characters)"
