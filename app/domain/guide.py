"""Parser of investigation guides: it splits the Markdown note of a rule into parts and steps.

Notes have no schema. The notes of public rules have little in common except headings such as "Possible
investigation steps", "False positive analysis" and "Response and remediation". The parser looks for words
such as "investigation" in headings of all levels. A heading with one of these words begins a part. All other
Markdown is kept as text. The parser does not render HTML.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b

from markdown_it import MarkdownIt
from markdown_it.token import Token


class GuidePartName(StrEnum):
    """The three parts of a guide, in the order in which an analyst works through them."""

    TRIAGE = "triage"
    FALSE_POSITIVES = "false_positives"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class GuideStep:
    """One step of a guide.

    - `key`: identifies the step within its part. If a user ticks the step, the database stores the key.
    - `markdown`: the text of the step, without HTML comments such as `<!-- evidence: start-event -->`.
    - `evidence`: the name in the `evidence` comment, such as `start-event`. If the step has no `evidence`
      comment, `evidence` is None.
    - `exclusion_fields`: the fields that the step suggests for a new exclusion.

    The key is equal to `evidence`. If `evidence` is None, the key is a hash of the step's text. If two steps
    of a part have the same key, `-2` is appended to the second key.
    """

    key: str
    markdown: str
    evidence: str | None
    exclusion_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GuidePart:
    """One part of a guide. `text` is the Markdown of the part without its steps."""

    name: GuidePartName
    text: str
    steps: tuple[GuideStep, ...]


@dataclass(frozen=True, slots=True)
class Guide:
    """A parsed note. `introduction` is the Markdown outside the three parts."""

    introduction: str
    triage: GuidePart
    false_positives: GuidePart
    response: GuidePart

    @property
    def parts(self) -> tuple[GuidePart, GuidePart, GuidePart]:
        return self.triage, self.false_positives, self.response


_HEADINGS = (
    (GuidePartName.FALSE_POSITIVES, re.compile(r"false[ -]positive|benign", re.IGNORECASE)),
    (GuidePartName.RESPONSE, re.compile(r"respon[sd]|remediation", re.IGNORECASE)),
    (GuidePartName.TRIAGE, re.compile(r"triage|investigation|analysis", re.IGNORECASE)),
)
_GENERIC_HEADING = re.compile(
    r"(?:(?:triage|and|analysis|possible|investigation|steps|false|positives?|response|remediation)"
    r"(?:\s+|$))+",
    re.IGNORECASE,
)
"""A heading of only these words is removed, because the page has its own heading for each part."""

_MARKER = re.compile(r"[ \t]*<!--\s*(evidence|exclude)\s*:(.*?)-->", re.DOTALL)
_BULLET = re.compile(r" *(?:[-+*]|[0-9]{1,9}[.)])(?: +|$)")
_MARKDOWN = MarkdownIt("commonmark")


@dataclass(frozen=True, slots=True)
class _Block:
    """A top-level block of the note. Headings have a `heading` and a `level`, and lists have `items`."""

    markdown: str
    heading: str | None = None
    level: int = 0
    items: tuple[str, ...] = ()


def parse_guide(note: str) -> Guide:
    """Parse `note`, the Markdown of a rule, into an introduction and the parts of GuidePartName.

    A heading such as "False positive analysis" begins a part. If there is no such heading, the whole text is
    the introduction. Any text is valid.

    A step is an item of a top-level list below the heading of a part. It may contain two kinds of HTML
    comments, which are removed from its text: `<!-- evidence: start-event -->` sets `GuideStep.evidence`, and
    `<!-- exclude: user.name process.name -->` sets `GuideStep.exclusion_fields`.
    """
    texts: dict[GuidePartName | None, list[str]] = {name: [] for name in (None, *GuidePartName)}
    steps: dict[GuidePartName, list[GuideStep]] = {name: [] for name in GuidePartName}
    part, level = None, 6
    for block in _blocks(note):
        if block.heading is not None:
            heading_part = _part_for_heading(block.heading)
            # A deeper heading that names no part is a subheading of the current part. A subheading does not
            # end the part.
            if heading_part or block.level <= level:
                part, level = heading_part, block.level
            if heading_part and _GENERIC_HEADING.fullmatch(block.heading):
                continue
        if part is not None and block.items:
            steps[part].extend(map(_parse_step, block.items))
        else:
            texts[part].append(block.markdown)
    triage, false_positives, response = (
        GuidePart(name, "\n\n".join(texts[name]), _with_unique_keys(steps[name]))
        for name in GuidePartName
    )
    return Guide("\n\n".join(texts[None]), triage, false_positives, response)


def _part_for_heading(heading: str) -> GuidePartName | None:
    # In a heading "Investigating NAME", NAME is the name of the rule. The name may contain words such as
    # "analysis", but the heading does not begin a part.
    if heading.lower().startswith("investigating "):
        return None
    return next((name for name, words in _HEADINGS if words.search(heading)), None)


def _blocks(note: str) -> Iterator[_Block]:
    lines = re.sub(r"\r\n?", "\n", note).split("\n")
    tokens = _MARKDOWN.parse(note)
    done = 0
    for number, token in enumerate(tokens):
        if token.level or token.map is None:
            continue
        start, end = token.map
        # The parser creates no token for some lines, such as link definitions. These lines become a block of
        # text.
        yield from _text_block(lines[done:start])
        done = end
        if token.type == "heading_open":
            heading = tokens[number + 1].content
            yield _Block("\n".join(lines[start:end]).strip(), heading, int(token.tag[1:]))
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            markdown = "\n".join(lines[start:end]).strip()
            yield _Block(markdown, items=tuple(_list_items(tokens[number:], lines)))
        else:
            yield from _text_block(lines[start:end])
    yield from _text_block(lines[done:])


def _text_block(lines: list[str]) -> Iterator[_Block]:
    if markdown := "\n".join(lines).strip("\n").rstrip():
        yield _Block(markdown)


def _list_items(tokens: list[Token], lines: list[str]) -> Iterator[str]:
    """Yield the Markdown of each list item without its bullet. `tokens` begins with the start of the list."""
    for token in tokens[1:]:
        if token.level == 0:
            return
        if token.level == 1 and token.type == "list_item_open" and token.map:
            start, end = token.map
            first, *others = [line.expandtabs(4) for line in lines[start:end]]
            bullet = _BULLET.match(first)
            width = bullet.end() if bullet else 0
            indent = re.compile(f" {{0,{width}}}")
            yield "\n".join([first[width:], *(indent.sub("", line, count=1) for line in others)])


def _parse_step(item: str) -> GuideStep:
    evidence: list[str] = []
    fields: list[str] = []
    for kind, names in _MARKER.findall(item):
        (evidence if kind == "evidence" else fields).extend(names.split())
    markdown = _MARKER.sub("", item).strip()
    words = " ".join(markdown.split())
    key = blake2b(words.encode(errors="surrogatepass"), digest_size=6).hexdigest()
    return GuideStep(
        evidence[0] if evidence else key,
        markdown,
        evidence[0] if evidence else None,
        tuple(dict.fromkeys(fields)),
    )


def _with_unique_keys(steps: list[GuideStep]) -> tuple[GuideStep, ...]:
    by_key: dict[str, GuideStep] = {}
    for step in steps:
        key, number = step.key, 2
        while key in by_key:
            key, number = f"{step.key}-{number}", number + 1
        by_key[key] = replace(step, key=key)
    return tuple(by_key.values())
