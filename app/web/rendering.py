"""Rendering: templates with a typed context, filters for text and times, and Markdown."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import nh3
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2_fragments import render_block
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from starlette.requests import Request

from app.detection.explain import format_values
from app.domain.text import display_segments

STATIC_URL = "/static"


class Renderer:
    """Renders templates. `now` is the time to which relative times such as "5 min ago" refer."""

    def __init__(self, templates: Path, static: Path) -> None:
        self._static = static
        self._environment = Environment(
            loader=FileSystemLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "reveal_invisible": reveal_invisible,
            "format_values": format_values,
        }
        self._environment.globals |= {
            "reveal_invisible": reveal_invisible,
            "exact_time": exact_time,
            "format_number": format_number,
            "icon": lru_cache(self._icon),
            "static_url": lru_cache(self._static_url),
        }

    def render_template(self, template: str, context: Mapping[str, Any], *, now: datetime) -> str:
        return self._environment.get_template(template).render(
            **context, is_fragment=False, relative_time=_relative_time_filter(now)
        )

    def render_block(
        self, template: str, block: str, context: Mapping[str, Any], *, now: datetime
    ) -> str:
        return render_block(
            self._environment,
            template,
            block,
            **context,
            is_fragment=True,
            relative_time=_relative_time_filter(now),
        )

    def has_block(self, template: str, block: str) -> bool:
        return block in self._environment.get_template(template).blocks

    def _icon(self, name: str) -> Markup:
        svg = (self._static / "vendor" / "tabler-icons" / f"{name}.svg").read_text()
        return Markup(svg.strip().replace("<svg ", '<svg aria-hidden="true" ', 1))  # noqa: S704 (a vendored file)

    def _static_url(self, path: str) -> str:
        digest = hashlib.sha256((self._static / path).read_bytes()).hexdigest()[:12]
        return f"{STATIC_URL}/{path}?v={digest}"


def requested_block(request: Request) -> str | None:
    """Return the name of the template block that htmx requests, or None if it needs the full page.

    A block has the same name as the id of the element that htmx replaces. htmx sends this id in the header
    HX-Target, as `tag#id`. When htmx restores a page from the browser's history, it needs the full page.
    """
    headers = request.headers
    if headers.get("HX-Request") != "true" or headers.get("HX-Request-Type") != "partial":
        return None
    if headers.get("HX-History-Restore-Request") == "true":
        return None
    return headers.get("HX-Target", "").partition("#")[2] or None


_MARK_TITLES = {
    "escape": "invisible character, shown as its escape sequence",
    "foreign": "not ASCII; may look like another letter",
}


def reveal_invisible(text: object) -> Markup:
    """Return untrusted text as HTML that reveals invisible and misleading characters.

    An invisible character is shown as a highlighted escape sequence. A visible non-ASCII character is
    highlighted, because the character may look like an ASCII letter. A `bdi` element keeps right-to-left text
    from reordering the text around it.
    """
    parts = []
    for kind, piece in display_segments(str(text)):
        if kind == "plain":
            parts.append(escape(piece))
        else:
            parts.append(
                Markup('<span class="dw-{}" title="{}">{}</span>').format(
                    kind, _MARK_TITLES[kind], piece
                )
            )
    return Markup("<bdi>{}</bdi>").format(Markup("").join(parts))


def format_number(value: int) -> str:
    """Format 1234567 as 1,234,567."""
    return f"{value:,}"


def exact_time(when: datetime) -> Markup:
    """Format a time in UTC, to the second, as an HTML `time` element."""
    return Markup('<time datetime="{}">{}</time>').format(
        when.isoformat(timespec="seconds"), f"{when:%Y-%m-%d %H:%M:%S} UTC"
    )


def _relative_time_filter(now: datetime) -> Any:
    def relative_time(when: datetime) -> Markup:
        """Format a time relative to now, with the exact time as tooltip."""
        return Markup('<time datetime="{}" title="{}" data-relative-time>{}</time>').format(
            when.isoformat(timespec="seconds"),
            f"{when:%Y-%m-%d %H:%M:%S} UTC",
            format_relative_time((now - when).total_seconds()),
        )

    return relative_time


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def format_relative_time(seconds: float) -> str:
    """Format a time that is `seconds` ago, such as "5 min ago". A negative value is in the future."""
    distance = abs(seconds)
    if distance < 45:
        return "just now" if seconds >= 0 else "in a moment"
    for length, unit in _UNITS:
        if distance >= length * 0.95:
            amount = f"{max(1, round(distance / length))} {unit}"
            return f"{amount} ago" if seconds >= 0 else f"in {amount}"
    return "1 min ago" if seconds >= 0 else "in 1 min"


def markdown_to_html(text: str) -> Markup:
    """Render the Markdown of a rule as safe HTML: raw HTML is escaped, and the output is sanitised."""
    rendered = nh3.clean(
        _markdown_parser().render(text),
        tags={
            "p", "a", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "br", "s",
            "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "hr",
        },
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"https", "http"},
        link_rel="noopener noreferrer",
    )  # fmt: skip
    return Markup(rendered)  # noqa: S704 (sanitised above)


@cache
def _markdown_parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
