"""Splitter and response for Elasticsearch's bulk API.

In a bulk body, an action line such as `{"create": {}}` precedes each event. Elasticsearch refuses a whole
request if it cannot parse one line. This splitter rejects only the invalid lines and accepts all valid
events.
"""

from collections.abc import Container, Iterable, Iterator
from itertools import chain

from app.formats import EventParseError, parse_event
from app.ingest.bulk_action import (
    ACTION_PREFIXES,
    INDEXING_VERBS,
    BulkAction,
    decode_action,
    with_success_item,
)
from app.ingest.events import (
    NewRejection,
    RawEvent,
    RejectedEvent,
    UnreadableBody,
    too_many_events,
)
from app.ingest.lines import UTF8_BOM, EventBlock, EventLines, LineBlock, LineBuffer

# The index name if neither the action nor the URL contains one. It appears only in the response.
DEFAULT_INDEX = "events"

_MISSING_EVENT = "an action without its event: another action follows, or the body ends"
_UNSUPPORTED_ACTION = "stored events cannot be changed: send create or index, not update or delete"


class BulkSplitter:
    """Incremental splitter for the body of a bulk request; `index` is the index name in the URL.

    `feed` and `end` yield blocks. A block contains events and rejected lines. These lines are rejected:

    - a line that is neither an action nor an event
    - an action that is not supported, such as `delete`
    - an action that has no event

    `RawEvent.index` is the position of the event's line in the body, starting at 0. Action lines have a
    position too. Blank lines have no position.

    The splitter raises ContentTooLarge if the number of events plus the number of rejected lines exceeds
    `max_events`.

    The caller must iterate over each block that `feed` or `end` yields before it takes the next block.
    `event_count` is the number of events and rejected lines in the blocks that the caller has iterated over.
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
        # The last line that is not processed yet. The splitter needs the next line to process this line. The
        # next line may arrive in a later part of the body.
        self._pending_line: RawEvent | None = None
        self._last_action_line = b""
        self._last_action: BulkAction | None = None
        self.event_count = 0
        # Each tuple is (action, line, count). The tuples are in the order of the request. A tuple stands for
        # `count` events in a row that have the same action. `line` is the line number of the first event. For
        # example, if `line` is 2 and `count` is 3, the events are on the lines 2, 4 and 6. If the action has
        # no event, `line` is the line number of the action, and `count` is 1.
        self._responses: list[tuple[BulkAction, int, int]] = []
        self._responses_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """The approximate number of bytes that the splitter holds."""
        return (
            self._line_buffer.buffered_bytes
            + self._responses_bytes
            + (len(self._pending_line.raw) if self._pending_line else 0)
        )

    def feed(self, part: bytes) -> Iterator[EventBlock]:
        """Process the next part of the body; yield the events and rejected lines found in it."""
        if not self._bom_checked:
            part = self._bom_prefix + part
            if part != UTF8_BOM and UTF8_BOM.startswith(part):  # The BOM may span several parts.
                self._bom_prefix = part
                return
            self._bom_checked, self._bom_prefix = True, b""
            part = part.removeprefix(UTF8_BOM)
        for block in self._line_buffer.feed(part):
            yield from self._split_block(block)

    def end(self) -> Iterator[EventBlock]:
        """Yield the last events and rejected lines; raises UnreadableBody if the body is empty."""
        for block in chain(self._line_buffer.feed(self._bom_prefix), self._line_buffer.end()):
            yield from self._split_block(block)
        if self._pending_line is not None:
            yield self._next_events(self._pending_line, None)
        if not self._responses:
            raise UnreadableBody(
                "The body is empty; send an action line and an event line per event."
            )

    def response_body(
        self,
        rejected: Iterable[NewRejection],
        *,
        repeated: Container[bytes] = (),
        took: int,
    ) -> bytes:
        """Return the body of the response as JSON; `took` is the duration in milliseconds.

        `repeated` contains the digests of the rejected events that were already in quarantine.

        The JSON has no white space, because some shippers cannot parse it otherwise. A duplicate gets status
        201, as if it were a new event, so that a repeated request gets the same response. Elasticsearch
        returns status 409 for a duplicate, but its own clients treat 409 as an error: they raise an exception
        or drop the event.
        """
        rejections = {rejection.event.raw_event.line: rejection for rejection in rejected}
        failed = False
        items = []
        for action, first_line, count in self._responses:
            if not rejections:
                items += [action.success_item] * count
                continue
            for line in range(first_line, first_line + 2 * count, 2):
                rejection = rejections.get(line)
                if rejection is None:
                    items.append(action.success_item)
                elif rejection.digest in repeated:
                    items.append(action.repetition_item())
                else:
                    failed = True
                    items.append(action.failure_item(rejection.event.reason))
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
                        excluded_prefixes=ACTION_PREFIXES,
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
        """Return the previous action if the next line repeats this action; otherwise return None.

        The result is also None if the action is `update` or `delete`. Repeated actions are handled in a
        faster way, because most shippers always send the same action.
        """
        action = self._last_action
        if action is None or action.verb not in INDEXING_VERBS:
            return None
        return action if lines.starts_with(self._last_action_line) else None

    def _next_events(
        self, first_line: RawEvent, second_line: RawEvent | None
    ) -> list[RawEvent | RejectedEvent]:
        """Process two lines of the body; return their events and rejected lines.

        Normally `first_line` is an action, and `second_line` is the event of this action. `second_line` is
        None at the end of the body. If `second_line` does not belong to `first_line`, for example because it
        is an action too, it becomes the pending line.
        """
        action = self._parse_action(first_line.raw)
        event = second_line
        if (
            event is not None
            and event.raw.startswith(ACTION_PREFIXES)
            and self._parse_action(event.raw)
        ):
            event = None
        events, second_line_used = self._apply_action(action, first_line, event)
        self._pending_line = None if second_line_used else second_line
        return events

    def _apply_action(
        self, action: BulkAction | None, first_line: RawEvent, event: RawEvent | None
    ) -> tuple[list[RawEvent | RejectedEvent], bool]:
        """Process a line and, if the line needs an event, also the next line.

        `action` is the action in `first_line`. If `first_line` is not an action, `action` is None.

        `event` is the line after `first_line`. If the body ends after `first_line`, `event` is None. If the
        line after `first_line` is an action, `event` is None too.

        The method returns a pair. The first element is a list of events and rejected lines. The second
        element is true if the method has also processed `event`.
        """
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
        """Process a line that is not an action but stands where an action is expected.

        If `first_line` is an event, the method accepts `first_line` and does not process `event`. Otherwise
        the method rejects `first_line` as an invalid action, and accepts `event`. If `event` is None, the
        method only rejects `first_line`. The returned pair has the same meaning as in `_apply_action`.
        """
        default_action = with_success_item(BulkAction("index", self._index))
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
        action = decode_action(raw, self._index)
        self._last_action_line, self._last_action = raw, action
        if action is not None:
            self._responses_bytes += len(raw) + len(action.success_item)
        return action

    def _parse_error(self, raw: bytes) -> str | None:
        """Return the reason why `raw` is not an event, or None if it may be an event.

        `raw` is a line that is not an action.
        """
        if len(raw) > self._max_event_bytes:
            return None  # `raw` is too large for an event, so `evaluate` rejects `raw` later.
        try:
            parse_event(raw)
        except EventParseError as error:
            return f"neither an action nor an event: {error}"
        return None
