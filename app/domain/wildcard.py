"""The wildcards `*` and `?`: one pattern language for queries and exclusions.

Patterns come from people and values from attackers, so matching must not be talked into
exponential time. If a wildcard pattern matches at all, it also matches with each text between two
stars taken at its leftmost place; atomic groups therefore lose nothing, and never go back.
"""

import re

_WILDCARD_RUN = re.compile(r"[*?]*\*[*?]*")


def compile_wildcard(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    """A pattern whose `match` and `fullmatch` accept exactly the values that `pattern` describes.

    `*` is any number of characters, `?` exactly one, newlines included; there is no escape.
    `ignore_case` folds ASCII letters only, as `case_insensitive` does in Elasticsearch's term and
    wildcard queries.
    """
    return compile_wildcards((pattern,), ignore_case=ignore_case)


def compile_wildcards(patterns: tuple[str, ...], *, ignore_case: bool) -> re.Pattern[str]:
    """The same for several patterns, of which any may match."""
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if ignore_case else re.NOFLAG)
    return re.compile("|".join(map(_regex_source, patterns)), flags)


def _regex_source(pattern: str) -> str:
    # A run such as `*??*` is two characters, then anything.
    skipped = ["." * run.count("?") for run in _WILDCARD_RUN.findall(pattern)]
    first, *rest = map(_literal_regex, _WILDCARD_RUN.split(pattern))
    if not rest:
        return rf"{first}\Z"
    middle = (f"(?>{skip}.*?{text})" for skip, text in zip(skipped[:-1], rest[:-1], strict=True))
    # The value ends with the last text, so here the rightmost place is the right one.
    return rf"{first}{''.join(middle)}{skipped[-1]}.*{rest[-1]}\Z"


def _literal_regex(text: str) -> str:
    return ".".join(map(re.escape, text.split("?")))
