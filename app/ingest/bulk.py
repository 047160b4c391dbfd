"""Elasticsearch's bulk protocol: a body of actions and events in, one result per action out.

Elasticsearch refuses a whole request for one line that it cannot read. Here such a line never takes a
good event with it: an event counts wherever it stands, and what is no event is refused by itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import msgspec

from app.formats import Unreadable, read
from app.ingest.blocks import Events, LineCutter
from app.ingest.body import UTF8_BOM, UnreadableBody
from app.ingest.judging import Judged
from app.ingest.lines import Item, Lines, too_many
from app.ingest.pipeline import Rejected

# Where neither the action nor the address names an index; nothing here depends on it.
NO_INDEX = "events"

_CREATED = 201
_BAD_REQUEST = 400
_NO_EVENT = "an action without its event: another action follows, or nothing"
_NO_CHANGES = "events are kept as they came: send create or index, not update or delete"
# Names of indices and ids have less than this in Elasticsearch; all of it may come back in the answer.
_ACTION_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class Action:
    """One action line. `done` is the item of the answer that says it went well."""

    verb: str
    index: str
    id: str | int | None = None
    done: bytes = b""

    def failed(self, reason: str) -> bytes:
        """The item of the answer that says why it did not."""
        error = {"type": "document_parsing_exception", "reason": reason}
        return _item(self, {"status": _BAD_REQUEST, "error": error})


class BulkCutter:
    """Finds the events of a bulk body, part by part; `index` is what the address names.

    Items count lines, not events. Raises TooLarge for more than `most` events, and UnreadableBody if
    there was no line at all.
    """

    def __init__(
        self, *, index: str | None, max_event_bytes: int, max_line_bytes: int, most: int
    ) -> None:
        self._index = index or NO_INDEX
        self._max_event_bytes = max_event_bytes
        self._most = most
        self._lines = LineCutter(max_line_bytes=max_line_bytes)
        # The last line of a part, which is an action for all we know: the next part tells.
        self._rest: Item | None = None
        self._begun = False
        self._start = b""
        self._last_line = b""
        self._last: Action | None = None
        self.found = 0
        """How many events there were so far, and actions that were refused."""
        self._refused: list[Judged] = []
        # Those to be answered, in order, each with the line by which its rejection is found, and how
        # many there are that are like it, itself among them.
        self._actions: list[tuple[Action, int, int]] = []
        self._actions_bytes = 0

    @property
    def held(self) -> int:
        """About how many bytes this keeps."""
        return self._lines.held + self._actions_bytes + (len(self._rest.raw) if self._rest else 0)

    def feed(self, part: bytes) -> Iterator[Events]:
        """The events that have become certain."""
        if not self._begun:
            part = self._start + part
            if part != UTF8_BOM and UTF8_BOM.startswith(part):  # it may come in pieces
                self._start = part
                return
            self._begun, self._start = True, b""
            part = part.removeprefix(UTF8_BOM)
        yield from self._events(self._lines.feed(part), ended=False)

    def end(self) -> Iterator[Events]:
        """The last events; raises UnreadableBody if there was no line at all."""
        last = chain(self._lines.feed(self._start), self._lines.end())
        yield from self._events(last, ended=True)
        if not self._actions:
            raise UnreadableBody("The body is empty; send lines: an action, its event, and so on.")

    def refused(self) -> Sequence[Judged]:
        """What was refused since this was asked last."""
        refused, self._refused = self._refused, []
        return refused

    def answer(self, rejected: Iterable[Rejected], *, took: int) -> bytes:
        """The body of the answer, as compact as some shippers need it; `took` is in milliseconds.

        An event that is known already is answered like a new one, 201: the same request gets the same
        answer. Elasticsearch's 409 would be an error in its own clients, which raise or drop.
        """
        reasons = {one.line: one.error for one in rejected}
        failed = False
        items = []
        for action, first, count in self._actions:
            if not reasons:
                items += [action.done] * count
                continue
            for line in range(first, first + 2 * count, 2):
                if line in reasons:
                    failed = True
                    items.append(action.failed(reasons[line]))
                else:
                    items.append(action.done)
        head = b'{"errors":%s,"took":%d,"items":[' % (b"true" if failed else b"false", took)
        return b"".join((head, b",".join(items), b"]}"))

    def _events(self, blocks: Iterable[Lines], *, ended: bool) -> Iterator[Events]:
        # What follows a line decides what it is.
        for lines in blocks:
            some: list[Item] = []
            while True:
                if self._rest is None:
                    if (action := self._usual(lines)) is not None:
                        yield some
                        some = []
                        yield from self._alike(action, lines)
                    self._rest = next(lines, None)
                following = next(lines, None)
                if self._rest is None or following is None:
                    break
                some += self._event(self._rest, following)
            yield some
        if ended and self._rest is not None:
            yield self._event(self._rest, None)

    def _usual(self, lines: Lines) -> Action | None:
        """The action from before if it stands here again, and an event behind it; most shippers have only
        one.
        """
        if self._last is None or self._last.verb not in _KEEPING:
            return None
        lines.led_by, lines.unless = self._last_line + b"\n", _LIKE_ACTION
        if lines.led(lines.start) < 0:
            lines.led_by = b""
            return None
        return self._last

    def _alike(self, action: Action, lines: Lines) -> Iterator[Lines]:
        """The events before which it stands."""
        before, first = lines.index, lines.line + 1
        lines.end, lines.most = before + 2 * (self._most - self.found), self._most
        yield lines
        lines.led_by, lines.end = b"", None
        self._answer(action, first, (lines.index - before) // 2)

    def _event(self, row: Item, following: Item | None) -> Sequence[Item]:
        """The event that `row` brings or is, if any; what is not used up of both is the rest."""
        action = self._read(row.raw)
        event = following
        if event is not None and event.raw.startswith(_LIKE_ACTION) and self._read(event.raw):
            event = None
        taken, used_up = self._taken(action, row, event)
        self._rest = None if used_up else following
        return () if taken is None else (taken,)

    def _taken(
        self, action: Action | None, row: Item, event: Item | None
    ) -> tuple[Item | None, bool]:
        """The event that an action brings, if it does; and whether this has used up what follows it."""
        if action is None:
            return self._stray(row, event)
        if action.verb == "delete":
            self._refuse(action, row, _NO_CHANGES)
            return None, False
        if event is None:
            self._refuse(action, row, _NO_EVENT)
            return None, False
        if action.verb == "update":
            self._refuse(action, event, _NO_CHANGES)
            return None, True
        self._answer(action, event.line)
        return event, True

    def _stray(self, row: Item, event: Item | None) -> tuple[Item | None, bool]:
        """What is no action is an event by itself, or the broken action of the one that follows it."""
        unnamed = _answering(Action("index", self._index))
        refusal = self._no_event(row.raw)
        if refusal is None:
            self._answer(unnamed, row.line)
            return row, False
        if event is None:
            self._refuse(unnamed, row, refusal)
            return None, False
        self._refuse(None, row, refusal)
        self._answer(unnamed, event.line)
        return event, True

    def _refuse(self, action: Action | None, item: Item, reason: str) -> None:
        self._refused.append(Judged(item, refusal=reason))
        if action is None:
            self._count(1)
        else:
            self._answer(action, item.line)

    def _count(self, more: int) -> None:
        self.found += more
        if self.found > self._most:
            raise too_many(self._most)

    def _answer(self, action: Action, line: int, count: int = 1) -> None:
        """One action, or several alike, each two lines behind the one before."""
        self._count(count)
        self._actions.append((action, line, count))

    def _read(self, raw: bytes) -> Action | None:
        if raw == self._last_line:
            return self._last
        action = _read_action(raw, self._index)
        self._last_line, self._last = raw, action
        if action is not None:
            self._actions_bytes += len(raw) + len(action.done)
        return action

    def _no_event(self, raw: bytes) -> str | None:
        """Why a line where an action should be is no event either; None when it is one, or may be."""
        if len(raw) > self._max_event_bytes:
            return None  # it will be refused for that
        try:
            read(raw)
        except Unreadable as error:
            return f"neither an action nor an event: {error}"
        return None


def _item(action: Action, result: dict[str, object]) -> bytes:
    told: dict[str, object] = {"_index": action.index}
    if action.id is not None:
        told["_id"] = str(action.id)
    return msgspec.json.encode({action.verb: told | result})


class _Target(msgspec.Struct, rename={"index": "_index", "id": "_id"}):
    """What we read of the object behind the verb; `_type`, `routing` and others are passed over."""

    index: str | None = None
    id: str | int | None = None
    op_type: str | None = None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    create: _Target | None = None
    index: _Target | None = None
    update: _Target | None = None
    delete: _Target | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_KEEPING = ("create", "index")
_VERBS = (*_KEEPING, "update", "delete")
_LIKE_ACTION = tuple(b'{"%s"' % verb.encode() for verb in _VERBS)


def _read_action(raw: bytes, index: str) -> Action | None:
    """The action in a line, None when there is none in it."""
    if len(raw) > _ACTION_BYTES:
        return None
    try:
        line = _decode_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    named = [(verb, target) for verb in _VERBS if (target := getattr(line, verb)) is not None]
    if len(named) != 1:
        return None
    ((verb, target),) = named
    if verb == "index" and target.op_type == "create":
        verb = "create"  # as Elasticsearch answers it
    return _answering(Action(verb, target.index or index, target.id))


def _answering(action: Action) -> Action:
    return replace(action, done=_item(action, {"status": _CREATED, "result": "created"}))
