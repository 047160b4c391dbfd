"""Wildcard patterns with `*` and `?`, used by EQL queries and by exclusions.

Users write patterns and attackers control the values, so matching must take linear time. If a pattern
matches, it also matches with each literal between two stars at its leftmost position. The literals can
therefore be atomic groups, which do not backtrack.
"""

import re

_WILDCARD_RUN = re.compile(r"[*?]*\*[*?]*")


def compile_wildcard(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    """Compile `pattern` to a regular expression that matches complete values with `match`.

    `*` is any number of characters, `?` exactly one, both including newlines; there is no escape character.
    `ignore_case` folds ASCII letters only, as `case_insensitive` does in Elasticsearch's term and
    wildcard queries.
    """
    return compile_wildcards((pattern,), ignore_case=ignore_case)


def compile_wildcards(patterns: tuple[str, ...], *, ignore_case: bool) -> re.Pattern[str]:
    """Like `compile_wildcard`, for values that match any of `patterns`."""
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if ignore_case else re.NOFLAG)
    return re.compile("|".join(map(_regex_source, patterns)), flags)


def _regex_source(pattern: str) -> str:
    # A run such as `*??*` means two characters, then any number.
    skipped = ["." * run.count("?") for run in _WILDCARD_RUN.findall(pattern)]
    first, *rest = map(_literal_regex, _WILDCARD_RUN.split(pattern))
    if not rest:
        return rf"{first}\Z"
    middle = (f"(?>{skip}.*?{text})" for skip, text in zip(skipped[:-1], rest[:-1], strict=True))
    # The last literal must be at the end of the value, so its rightmost position is the correct one.
    return rf"{first}{''.join(middle)}{skipped[-1]}.*{rest[-1]}\Z"


def _literal_regex(text: str) -> str:
    return ".".join(map(re.escape, text.split("?")))
