"""Elasticsearch's bulk protocol: a body of actions and events in, one result per action out.

Elasticsearch refuses a whole request for one line that it cannot read. Here such a line never takes a
good event with it: an event counts wherever it stands, and what is no event is refused by itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import msgspec

from app.formats import EventParseError, parse_event
from app.ingest.body import UTF8_BOM, UnreadableBody
from app.ingest.evaluate import Evaluation
from app.ingest.events import LineCursor, RawEvent, RejectedEvent, too_many_events
from app.ingest.split import EventBlock, LineSplitter

# Where neither the action nor the address names an index; nothing here depends on it.
DEFAULT_INDEX = "events"

_STATUS_CREATED = 201
_STATUS_BAD_REQUEST = 400
_MISSING_EVENT = "an action without its event: another action follows, or nothing"
_UNSUPPORTED_ACTION = "events are kept as they came: send create or index, not update or delete"
# Names of indices and ids have less than this in Elasticsearch; all of it may come back in the answer.
_MAX_ACTION_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class BulkAction:
    """One action line. `done` is the item of the answer that says it went well."""

    verb: str
    index: str
    id: str | int | None = None
    success_item: bytes = b""

    def failure_item(self, reason: str) -> bytes:
        """The item of the answer that says why it did not."""
        error = {"type": "document_parsing_exception", "reason": reason}
        return _response_item(self, {"status": _STATUS_BAD_REQUEST, "error": error})


class BulkSplitter:
    """Finds the events of a bulk body, part by part; `index` is what the address names.

    Items count lines, not events. Raises ContentTooLarge for more than `most` events, and UnreadableBody if
    there was no line at all.
    """

    def __init__(
        self, *, index: str | None, max_event_bytes: int, max_line_bytes: int, max_events: int
    ) -> None:
        self._index = index or DEFAULT_INDEX
        self._max_event_bytes = max_event_bytes
        self._max_events = max_events
        self._line_splitter = LineSplitter(max_line_bytes=max_line_bytes)
        # The last line of a part, which is an action for all we know: the next part tells.
        self._pending_line: RawEvent | None = None
        self._bom_checked = False
        self._bom_prefix = b""
        self._last_action_line = b""
        self._last_action: BulkAction | None = None
        self.event_count = 0
        """How many events there were so far, and actions that were refused."""
        self._rejected: list[Evaluation] = []
        # Those to be answered, in order, each with the line by which its rejection is found, and how
        # many there are that are like it, itself among them.
        self._responses: list[tuple[BulkAction, int, int]] = []
        self._responses_bytes = 0

    @property
    def buffered_bytes(self) -> int:
        """About how many bytes this keeps."""
        return (
            self._line_splitter.buffered_bytes
            + self._responses_bytes
            + (len(self._pending_line.raw) if self._pending_line else 0)
        )

    def feed(self, part: bytes) -> Iterator[EventBlock]:
        """The events that have become certain."""
        if not self._bom_checked:
            part = self._bom_prefix + part
            if part != UTF8_BOM and UTF8_BOM.startswith(part):  # it may come in pieces
                self._bom_prefix = part
                return
            self._bom_checked, self._bom_prefix = True, b""
            part = part.removeprefix(UTF8_BOM)
        yield from self._split_lines(self._line_splitter.feed(part), ended=False)

    def end(self) -> Iterator[EventBlock]:
        """The last events; raises UnreadableBody if there was no line at all."""
        last = chain(self._line_splitter.feed(self._bom_prefix), self._line_splitter.end())
        yield from self._split_lines(last, ended=True)
        if not self._responses:
            raise UnreadableBody("The body is empty; send lines: an action, its event, and so on.")

    def take_rejected(self) -> Sequence[Evaluation]:
        """What was refused since this was asked last."""
        rejected, self._rejected = self._rejected, []
        return rejected

    def response_body(self, rejected: Iterable[RejectedEvent], *, took: int) -> bytes:
        """The body of the answer, as compact as some shippers need it; `took` is in milliseconds.

        An event that is known already is answered like a new one, 201: the same request gets the same
        answer. Elasticsearch's 409 would be an error in its own clients, which raise or drop.
        """
        reasons = {one.raw_event.line: one.reason for one in rejected}
        failed = False
        items = []
        for action, first, count in self._responses:
            if not reasons:
                items += [action.success_item] * count
                continue
            for line in range(first, first + 2 * count, 2):
                if line in reasons:
                    failed = True
                    items.append(action.failure_item(reasons[line]))
                else:
                    items.append(action.success_item)
        head = b'{"errors":%s,"took":%d,"items":[' % (b"true" if failed else b"false", took)
        return b"".join((head, b",".join(items), b"]}"))

    def _split_lines(self, blocks: Iterable[LineCursor], *, ended: bool) -> Iterator[EventBlock]:
        # What follows a line decides what it is.
        for lines in blocks:
            raw_events: list[RawEvent] = []
            while True:
                if self._pending_line is None:
                    if (action := self._repeated_action(lines)) is not None:
                        yield raw_events
                        raw_events = []
                        yield from self._split_repeated(action, lines)
                    self._pending_line = next(lines, None)
                following = next(lines, None)
                if self._pending_line is None or following is None:
                    break
                raw_events += self._next_event(self._pending_line, following)
            yield raw_events
        if ended and self._pending_line is not None:
            yield self._next_event(self._pending_line, None)

    def _repeated_action(self, lines: LineCursor) -> BulkAction | None:
        """The action from before if it stands here again, and an event behind it; most shippers have only
        one.
        """
        if self._last_action is None or self._last_action.verb not in _INDEXING_VERBS:
            return None
        lines.line_prefix, lines.excluded_prefixes = (
            self._last_action_line + b"\n",
            _ACTION_PREFIXES,
        )
        if lines.find_event_start(lines.start) < 0:
            lines.line_prefix = b""
            return None
        return self._last_action

    def _split_repeated(self, action: BulkAction, lines: LineCursor) -> Iterator[LineCursor]:
        """The events before which it stands."""
        before, first = lines.index, lines.line + 1
        lines.max_index, lines.max_events = (
            before + 2 * (self._max_events - self.event_count),
            self._max_events,
        )
        yield lines
        lines.line_prefix, lines.max_index = b"", None
        self._add_response(action, first, (lines.index - before) // 2)

    def _next_event(self, first_line: RawEvent, following: RawEvent | None) -> Sequence[RawEvent]:
        """The event that `row` brings or is, if any; what is not used up of both is the rest."""
        action = self._parse_action(first_line.raw)
        event = following
        if (
            event is not None
            and event.raw.startswith(_ACTION_PREFIXES)
            and self._parse_action(event.raw)
        ):
            event = None
        event_found, consumed_next = self._apply_action(action, first_line, event)
        self._pending_line = None if consumed_next else following
        return () if event_found is None else (event_found,)

    def _apply_action(
        self, action: BulkAction | None, first_line: RawEvent, event: RawEvent | None
    ) -> tuple[RawEvent | None, bool]:
        """The event that an action brings, if it does; and whether this has used up what follows it."""
        if action is None:
            return self._handle_stray_line(first_line, event)
        if action.verb == "delete":
            self._reject(action, first_line, _UNSUPPORTED_ACTION)
            return None, False
        if event is None:
            self._reject(action, first_line, _MISSING_EVENT)
            return None, False
        if action.verb == "update":
            self._reject(action, event, _UNSUPPORTED_ACTION)
            return None, True
        self._add_response(action, event.line)
        return event, True

    def _handle_stray_line(
        self, first_line: RawEvent, event: RawEvent | None
    ) -> tuple[RawEvent | None, bool]:
        """What is no action is an event by itself, or the broken action of the one that follows it."""
        default_action = _with_success_item(BulkAction("index", self._index))
        reason = self._why_not_an_event(first_line.raw)
        if reason is None:
            self._add_response(default_action, first_line.line)
            return first_line, False
        if event is None:
            self._reject(default_action, first_line, reason)
            return None, False
        self._reject(None, first_line, reason)
        self._add_response(default_action, event.line)
        return event, True

    def _reject(self, action: BulkAction | None, raw_event: RawEvent, reason: str) -> None:
        self._rejected.append(Evaluation(raw_event, rejection_reason=reason))
        if action is None:
            self._count(1)
        else:
            self._add_response(action, raw_event.line)

    def _count(self, more: int) -> None:
        self.event_count += more
        if self.event_count > self._max_events:
            raise too_many_events(self._max_events)

    def _add_response(self, action: BulkAction, line: int, count: int = 1) -> None:
        """One action, or several alike, each two lines behind the one before."""
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

    def _why_not_an_event(self, raw: bytes) -> str | None:
        """Why a line where an action should be is no event either; None when it is one, or may be."""
        if len(raw) > self._max_event_bytes:
            return None  # it will be refused for that
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
    """What we read of the object behind the verb; `_type`, `routing` and others are passed over."""

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
    """The action in a line, None when there is none in it."""
    if len(raw) > _MAX_ACTION_BYTES:
        return None
    try:
        line = _decode_action_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    named = [(verb, target) for verb in _VERBS if (target := getattr(line, verb)) is not None]
    if len(named) != 1:
        return None
    ((verb, target),) = named
    if verb == "index" and target.op_type == "create":
        verb = "create"  # as Elasticsearch answers it
    return _with_success_item(BulkAction(verb, target.index or index, target.id))


def _with_success_item(action: BulkAction) -> BulkAction:
    return replace(
        action,
        success_item=_response_item(action, {"status": _STATUS_CREATED, "result": "created"}),
    )
