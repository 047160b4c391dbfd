"""Split a body into its events; the body is one JSON object, an array of objects, or NDJSON."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

import msgspec

from app.ingest.events import ContentTooLarge, RawEvent, UnreadableBody, too_many_events
from app.ingest.json_array import is_json_value, split_array
from app.ingest.lines import UTF8_BOM, EventLines, LineBlock, LineBuffer, line_block

# JsonSplitter must find out whether a body is NDJSON. It checks a body below this size after each part. It
# checks a larger body only when the body has grown by a quarter, so that the total time is linear.
_RECHECK_ALWAYS_BELOW = 1 << 20
_FIRST_CHARACTER = re.compile(rb"(?:\xef\xbb\xbf)?\s*+(\S)")

# Consecutive events of a body. Unlike an EventBlock, it contains no rejected events.
RawEventBlock: TypeAlias = EventLines | Sequence[RawEvent]


def split_body(body: bytes, max_events: int | None = None) -> list[RawEvent]:
    """Return the events of a body that is one JSON object, an array of objects, or NDJSON.

    The function only finds where each event begins and ends. It also returns invalid events, so that the
    caller can quarantine them and evaluate the other events. Raises UnreadableBody for an empty body, and
    ContentTooLarge for more than `max_events` events. The running time is linear in the size of the body.
    """
    body = body.removeprefix(UTF8_BOM)
    start = len(body) - len(body.lstrip())
    if start == len(body):
        raise UnreadableBody(
            "The body is empty; send a JSON object, an array, or one object per line."
        )
    if body.startswith(b"[", start):
        events: Iterator[RawEvent] = split_array(body, start, max_events)
    else:
        events = EventLines(line_block(body))
    raw_events = list(islice(events, None if max_events is None else max_events + 1))
    if isinstance(events, EventLines) and _is_pretty_printed_object(body, raw_events):
        return [RawEvent(0, raw_events[0].line, body.strip())]
    if max_events is not None and len(raw_events) > max_events:
        raise too_many_events(max_events)
    return raw_events


def _is_pretty_printed_object(body: bytes, lines: Sequence[RawEvent]) -> bool:
    """Return whether the body is one JSON object on several lines, such as the output of jq.

    An invalid body also counts as one object if none of its lines is valid JSON.
    """
    return (
        len(lines) > 1
        and not is_json_value(lines[0].raw)
        and (is_json_value(body) or not any(is_json_value(line.raw) for line in lines))
    )


def split_stream(
    parts: Iterable[bytes], *, max_document_bytes: int, max_event_bytes: int
) -> Iterator[RawEventBlock]:
    """Split a body that arrives in `parts`; yield blocks of events. See JsonSplitter for the details."""
    splitter = JsonSplitter(max_document_bytes=max_document_bytes, max_line_bytes=max_event_bytes)
    for part in parts:
        yield from splitter.feed(part)
    yield from splitter.end()


class JsonSplitter:
    """Incremental splitter that finds the same events as `split_body`.

    NDJSON is split as it arrives. To save memory, at most `max_line_bytes + 1` bytes of an incomplete line
    are buffered. A line that is too large is still too large after this cut, so the line is rejected later.

    An array is buffered until its end. One object on several lines is also buffered until its end. Raises
    ContentTooLarge if the buffered bytes exceed `max_document_bytes`. Raises ContentTooLarge also if the body
    has more than `max_events` events.

    The caller must iterate over each block that `feed` or `end` yields before it takes the next block.
    `event_count` is the number of events in the blocks that the caller has iterated over.
    """

    def __init__(
        self, *, max_document_bytes: int, max_line_bytes: int, max_events: int | None = None
    ) -> None:
        self._max_document_bytes = max_document_bytes
        self._max_events = max_events
        self._line_buffer = LineBuffer(max_line_bytes=max_line_bytes)
        self._next_line = 1
        self._is_ndjson = False
        # All parts received so far; empty after the body is known to be NDJSON.
        self._document: list[bytes] = []
        self._document_size = 0
        self._next_check_size = 0
        self.event_count = 0

    @property
    def buffered_bytes(self) -> int:
        """The approximate number of bytes that the splitter needs.

        The bytes of a buffered array or object count twice, because the next step copies these bytes.
        """
        return self._line_buffer.buffered_bytes + 2 * self._document_size

    def feed(self, part: bytes) -> Iterator[RawEventBlock]:
        """Process the next part of the body; yield the events whose start and end are now known."""
        if self._is_ndjson:
            yield from self._split_lines(self._line_buffer.feed(part))
            return
        self._document.append(part)
        self._document_size += len(part)
        if self._document_size >= self._next_check_size:
            document = self._join_document()
            if _is_certainly_ndjson(document):
                self._is_ndjson = True
                self._document, self._document_size = [], 0
                blocks = self._line_buffer.feed(document.removeprefix(UTF8_BOM))
                yield from self._split_lines(blocks)
                return
            self._document = [document]
            if _starts_array(document):
                # An array cannot turn out to be NDJSON, so no later check is needed.
                self._next_check_size = self._max_document_bytes + 1
            elif self._document_size > _RECHECK_ALWAYS_BELOW:
                self._next_check_size = self._document_size + self._document_size // 4
        if self._document_size > self._max_document_bytes:
            start = self._join_document()[:_RECHECK_ALWAYS_BELOW]
            raise ContentTooLarge(_too_large_message(start, self._max_document_bytes))

    def end(self) -> Iterator[RawEventBlock]:
        """Yield the last events; raises UnreadableBody if the body is empty."""
        if self._is_ndjson:
            yield from self._split_lines(self._line_buffer.end())
            return
        document = self._join_document()
        self._document, self._document_size = [], 0
        raw_events = split_body(document, self._max_events)
        self.event_count = len(raw_events)
        yield raw_events

    def _split_lines(self, blocks: Iterable[LineBlock]) -> Iterator[EventLines]:
        for block in blocks:
            lines = EventLines(
                block,
                index=self.event_count,
                line=self._next_line,
                events_before=self.event_count,
                max_events=self._max_events,
            )
            yield lines
            self.event_count, self._next_line = lines.index, lines.line

    def _join_document(self) -> bytes:
        return self._document[0] if len(self._document) == 1 else b"".join(self._document)


def _too_large_message(start: bytes, limit: int) -> str:
    if _starts_array(start):
        return (
            f"an array of more than {limit:,} bytes; send one event per line instead: jq -c '.[]'"
        )
    return f"more than {limit:,} bytes that are neither NDJSON nor a complete JSON document"


def _starts_array(head: bytes) -> bool:
    first_character = _FIRST_CHARACTER.match(head)
    return first_character is not None and first_character[1] == b"["


def _is_certainly_ndjson(head: bytes) -> bool:
    """Return whether a body that begins with `head` is certainly NDJSON, whatever text follows."""
    # Only complete lines are examined. If they are not the beginning of a valid JSON value, more text cannot
    # make them valid, so the result is final.
    whole_lines = head[: head.rfind(b"\n") + 1].removeprefix(UTF8_BOM)
    if _FIRST_CHARACTER.match(whole_lines) is None or _starts_array(whole_lines):
        return False
    lines = EventLines(line_block(whole_lines))
    if is_json_value(next(lines).raw):
        return True
    return not _may_be_json_prefix(whole_lines) and any(is_json_value(line.raw) for line in lines)


def _may_be_json_prefix(whole_lines: bytes) -> bool:
    """Return whether `whole_lines` is a JSON value or may be the beginning of a JSON value."""
    try:
        msgspec.json.decode(whole_lines, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return "truncated" in str(error)
    except RecursionError:
        return False
    return True
