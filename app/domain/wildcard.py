"""Wildcard patterns with `*` and `?`, used by EQL queries and by exclusions.

Users write the patterns and attackers control the values, so matching must take linear time. In the pattern
`*ssh*key`, the literal `ssh` stands between two stars. It is enough to try the leftmost `ssh` in the value:
if `key` follows a later `ssh`, `key` also follows the leftmost `ssh`. A literal between two stars is
therefore an atomic group, which does not backtrack.
"""

import re

_WILDCARD_RUN = re.compile(r"[*?]*\*[*?]*")


def compile_wildcard(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    """Compile `pattern` to a regular expression. Its method `match` only matches complete values.

    `*` matches any number of characters and `?` exactly one. Both also match newlines. There is no escape
    character. `ignore_case` ignores the case of ASCII letters only, like `case_insensitive` in
    Elasticsearch's term and wildcard queries.
    """
    return compile_wildcards((pattern,), ignore_case=ignore_case)


def compile_wildcards(patterns: tuple[str, ...], *, ignore_case: bool) -> re.Pattern[str]:
    """Compile `patterns` to one regular expression, which matches if at least one of them matches."""
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if ignore_case else re.NOFLAG)
    return re.compile("|".join(map(_regex_source, patterns)), flags)


def _regex_source(pattern: str) -> str:
    # A run of wildcards such as `*??*` matches two or more characters: one `.` for each `?`, then `.*`.
    skipped = ["." * run.count("?") for run in _WILDCARD_RUN.findall(pattern)]
    first, *rest = map(_literal_regex, _WILDCARD_RUN.split(pattern))
    if not rest:
        return rf"{first}\Z"
    middle = (f"(?>{skip}.*?{text})" for skip, text in zip(skipped[:-1], rest[:-1], strict=True))
    # The last literal must match at the end of the value, so a greedy `.*` finds its position.
    return rf"{first}{''.join(middle)}{skipped[-1]}.*{rest[-1]}\Z"


def _literal_regex(text: str) -> str:
    return ".".join(map(re.escape, text.split("?")))
