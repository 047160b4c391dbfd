"""Elasticsearch's bulk API: splits action lines and their events, and builds the response items.

Elasticsearch refuses a whole request because of one line that it cannot parse. This splitter accepts every
valid event, wherever it stands, and rejects each other line by itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import msgspec

from app.formats import EventParseError, parse_event
from app.ingest.events import RawEvent, RejectedEvent, UnreadableBody, too_many_events
from app.ingest.lines import UTF8_BOM, EventBlock, EventLines, LineBlock, LineBuffer

# Used when neither the action nor the URL names an index; only the response shows it.
DEFAULT_INDEX = "events"

_STATUS_CREATED = 201
_STATUS_BAD_REQUEST = 400
_MISSING_EVENT = "an action without its event: another action follows, or the body ends"
_UNSUPPORTED_ACTION = "stored events cannot be changed: send create or index, not update or delete"
# The length of an action is limited, because the response may repeat the whole action. Elasticsearch's limits
# on index names and ids are smaller.
_MAX_ACTION_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One action line. `success_item` is its response item if the event is accepted."""

    verb: str
    index: str
    id: str | int | None = None
    success_item: bytes = b""

    def failure_item(self, reason: str) -> bytes:
        """Return its response item if the event is rejected."""
        error = {"type": "document_parsing_exception", "reason": reason}
        return _response_item(self, {"status": _STATUS_BAD_REQUEST, "error": error})


class BulkSplitter:
    """Incremental splitter for a bulk body; `index` is the index named by the URL.

    Rejects lines that are neither an action nor an event, and actions that are not supported or have no
    event; they appear among the events. `RawEvent.index` counts lines, not events. Raises ContentTooLarge
    for more than `max_events` events and rejected lines.

    The caller must iterate each block that `feed` or `end` yields before it takes the next one:
    `event_count` counts the events and rejected lines of the iterated blocks.
    """

    def __init__(
        self, *, index: str | None, max_event_bytes: int, max_line_bytes: int, max_events: int
    ) -> None:
        self._index = index or DEFAULT_INDEX
        self._max_event_bytes = max_event_bytes
        self._max_events = max_events
        self._line_buffer = LineBuffer(max_line_bytes=max_line_bytes)
        self._bom_checked = False
        self._bom_prefix = b""
        self._next_index = 0
        self._next_line = 1
        # A line whose meaning depends on the next line, which may arrive in a later part.
        self._pending_line: RawEvent | None = None
        self._last_action_line = b""
        self._last_action: BulkAction | None = None
        self.event_count = 0
        # (action, line, repeat count) in request order. A rejection of the action is found by this line. Each
        # repetition is two lines after the previous one.
        self._responses: list[tuple[BulkAction, int, int]] = []
        self._responses_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """About how many bytes the splitter holds."""
        return (
            self._line_buffer.buffered_bytes
            + self._responses_bytes
            + (len(self._pending_line.raw) if self._pending_line else 0)
        )

    def feed(self, part: bytes) -> Iterator[EventBlock]:
        """Yield the events whose actions are known."""
        if not self._bom_checked:
            part = self._bom_prefix + part
            if part != UTF8_BOM and UTF8_BOM.startswith(part):  # The byte order mark may be split.
                self._bom_prefix = part
                return
            self._bom_checked, self._bom_prefix = True, b""
            part = part.removeprefix(UTF8_BOM)
        for block in self._line_buffer.feed(part):
            yield from self._split_block(block)

    def end(self) -> Iterator[EventBlock]:
        """Yield the last events; raises UnreadableBody if the body had no lines."""
        for block in chain(self._line_buffer.feed(self._bom_prefix), self._line_buffer.end()):
            yield from self._split_block(block)
        if self._pending_line is not None:
            yield self._next_events(self._pending_line, None)
        if not self._responses:
            raise UnreadableBody(
                "The body is empty; send an action line and an event line per event."
            )

    def response_body(self, rejected: Iterable[RejectedEvent], *, took: int) -> bytes:
        """Return the JSON response, without white space as some shippers need; `took` in milliseconds.

        A duplicate gets status 201 like a new event, so that a repeated request gets the same response.
        Elasticsearch's own clients treat its status 409 as an error: they raise it or drop the event.
        """
        reasons = {event.raw_event.line: event.reason for event in rejected}
        failed = False
        items = []
        for action, first_line, count in self._responses:
            if not reasons:
                items += [action.success_item] * count
                continue
            for line in range(first_line, first_line + 2 * count, 2):
                if line in reasons:
                    failed = True
                    items.append(action.failure_item(reasons[line]))
                else:
                    items.append(action.success_item)
        head = b'{"errors":%s,"took":%d,"items":[' % (b"true" if failed else b"false", took)
        return b"".join((head, b",".join(items), b"]}"))

    def _split_block(self, block: LineBlock) -> Iterator[EventBlock]:
        lines = EventLines(block, index=self._next_index, line=self._next_line)
        events: list[RawEvent | RejectedEvent] = []
        while True:
            if self._pending_line is None:
                if (action := self._repeated_action(lines)) is not None:
                    yield events
                    events = []
                    first_event_line = lines.line + 1
                    run = lines.rest(
                        prefix=self._last_action_line + b"\n",
                        excluded_prefixes=_ACTION_PREFIXES,
                        events_before=self.event_count,
                        max_events=self._max_events,
                    )
                    yield run
                    if run.event_count:
                        self._add_response(action, first_event_line, run.event_count)
                    lines = run.rest()
                self._pending_line = next(lines, None)
            following = next(lines, None)
            if self._pending_line is None or following is None:
                break
            events += self._next_events(self._pending_line, following)
        self._next_index, self._next_line = lines.index, lines.line
        yield events

    def _repeated_action(self, lines: EventLines) -> BulkAction | None:
        """Return the previous action if the next line repeats it; most shippers send only one action."""
        action = self._last_action
        if action is None or action.verb not in _INDEXING_VERBS:
            return None
        return action if lines.starts_with(self._last_action_line) else None

    def _next_events(
        self, first_line: RawEvent, second_line: RawEvent | None
    ) -> list[RawEvent | RejectedEvent]:
        """Return the event of `first_line`, or the rejected line; keep `second_line` if it is not used."""
        action = self._parse_action(first_line.raw)
        event = second_line
        if (
            event is not None
            and event.raw.startswith(_ACTION_PREFIXES)
            and self._parse_action(event.raw)
        ):
            event = None
        events, second_line_used = self._apply_action(action, first_line, event)
        self._pending_line = None if second_line_used else second_line
        return events

    def _apply_action(
        self, action: BulkAction | None, first_line: RawEvent, event: RawEvent | None
    ) -> tuple[list[RawEvent | RejectedEvent], bool]:
        """Return the events of an action line, and whether the line after it was used."""
        if action is None:
            return self._handle_stray_line(first_line, event)
        if action.verb == "delete":
            return [self._reject(action, first_line, _UNSUPPORTED_ACTION)], False
        if event is None:
            return [self._reject(action, first_line, _MISSING_EVENT)], False
        if action.verb == "update":
            return [self._reject(action, event, _UNSUPPORTED_ACTION)], True
        self._add_response(action, event.line)
        return [event], True

    def _handle_stray_line(
        self, first_line: RawEvent, event: RawEvent | None
    ) -> tuple[list[RawEvent | RejectedEvent], bool]:
        """Accept a line that is no action if it is an event; else reject it, but accept `event`."""
        default_action = _with_success_item(BulkAction("index", self._index))
        reason = self._parse_error(first_line.raw)
        if reason is None:
            self._add_response(default_action, first_line.line)
            return [first_line], False
        if event is None:
            return [self._reject(default_action, first_line, reason)], False
        rejected = self._reject(None, first_line, reason)
        self._add_response(default_action, event.line)
        return [rejected, event], True

    def _reject(self, action: BulkAction | None, raw_event: RawEvent, reason: str) -> RejectedEvent:
        if action is None:
            self._count(1)
        else:
            self._add_response(action, raw_event.line)
        return RejectedEvent(raw_event, reason)

    def _count(self, events: int) -> None:
        self.event_count += events
        if self.event_count > self._max_events:
            raise too_many_events(self._max_events)

    def _add_response(self, action: BulkAction, line: int, count: int = 1) -> None:
        self._count(count)
        self._responses.append((action, line, count))

    def _parse_action(self, raw: bytes) -> BulkAction | None:
        if raw == self._last_action_line:
            return self._last_action
        action = _decode_action(raw, self._index)
        self._last_action_line, self._last_action = raw, action
        if action is not None:
            self._responses_bytes += len(raw) + len(action.success_item)
        return action

    def _parse_error(self, raw: bytes) -> str | None:
        """Return why `raw`, which is not an action, is not an event either, or None if it may be an event."""
        if len(raw) > self._max_event_bytes:
            return None  # `evaluate` rejects it for its size.
        try:
            parse_event(raw)
        except EventParseError as error:
            return f"neither an action nor an event: {error}"
        return None


def _response_item(action: BulkAction, result: dict[str, object]) -> bytes:
    result_fields: dict[str, object] = {"_index": action.index}
    if action.id is not None:
        result_fields["_id"] = str(action.id)
    return msgspec.json.encode({action.verb: result_fields | result})


class _ActionTarget(msgspec.Struct, rename={"index": "_index", "id": "_id"}):
    """The object behind the verb; `_type`, `routing` and other keys are ignored."""

    index: str | None = None
    id: str | int | None = None
    op_type: str | None = None


class _ActionLine(msgspec.Struct, forbid_unknown_fields=True):
    create: _ActionTarget | None = None
    index: _ActionTarget | None = None
    update: _ActionTarget | None = None
    delete: _ActionTarget | None = None


_decode_action_line = msgspec.json.Decoder(_ActionLine).decode
_INDEXING_VERBS = ("create", "index")
_VERBS = (*_INDEXING_VERBS, "update", "delete")
_ACTION_PREFIXES = tuple(b'{"%s"' % verb.encode() for verb in _VERBS)


def _decode_action(raw: bytes, index: str) -> BulkAction | None:
    """Return the action in a line, None if the line is no valid action."""
    if len(raw) > _MAX_ACTION_BYTES:
        return None
    try:
        line = _decode_action_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    targets = [(verb, target) for verb in _VERBS if (target := getattr(line, verb)) is not None]
    if len(targets) != 1:
        return None
    ((verb, target),) = targets
    if verb == "index" and target.op_type == "create":
        verb = "create"  # Elasticsearch responds with the op_type too.
    return _with_success_item(BulkAction(verb, target.index or index, target.id))


def _with_success_item(action: BulkAction) -> BulkAction:
    return replace(
        action,
        success_item=_response_item(action, {"status": _STATUS_CREATED, "result": "created"}),
    )
