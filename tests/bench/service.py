"""The whole service under load, beside a sink and beside FastAPI + Pydantic + `eql`; and its memory."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.effort import Effort
from tests.bench.events import MATCHING_EVERY, events
from tests.bench.figures import Measured, Unmeasured, against_rate, alone
from tests.bench.load import Call, Load, ask, at_once, hammer
from tests.bench.peer_apps import RULES
from tests.bench.peers import matches_by_rule
from tests.bench.rules import queries, tempting_events
from tests.bench.servers import Server, deckwatch, make_key, peer

CONNECTIONS = 4
BATCH = 1_000
SMALL_BATCH = 100
EVENTS = "/api/v1/events"
BULK = "/elastic/_bulk"
BODIES = 8
# The limit as Deckwatch has it by default.
BODY_BYTES = 64 * 1024 * 1024
_ACTION = b'{"create":{"_index":"logs-endpoint.events.process-default"}}\n'


def events_against_sink(effort: Effort) -> Measured:
    """`POST /api/v1/events` with NDJSON of 1,000 events."""
    bodies = [b"\n".join(events(BATCH, seed=seed)) for seed in range(CONNECTIONS)]
    return _against("sink", Call(EVENTS, {}, bodies), BATCH, effort)


def bulk_against_sink(effort: Effort) -> Measured:
    """`POST /elastic/_bulk` with 1,000 `create` actions."""
    bodies = [
        b"".join(_ACTION + event + b"\n" for event in events(BATCH, seed=seed))
        for seed in range(CONNECTIONS)
    ]
    headers = {"Content-Type": "application/x-ndjson"}
    return _against("sink", Call(BULK, headers, bodies), BATCH, effort)


def against_pydantic(effort: Effort) -> Measured:
    """100 rules and a JSON array of 100 events."""
    bodies = [
        b"[" + b",".join(events(SMALL_BATCH, seed=seed)) + b"]" for seed in range(CONNECTIONS)
    ]
    headers = {"Content-Type": "application/json"}
    return _against("pydantic", Call(EVENTS, headers, bodies), SMALL_BATCH, effort, rules=RULES)


def memory(effort: Effort) -> Measured:
    """The most that the server had resident while it took eight bodies of 64 MiB at once."""
    with TemporaryDirectory() as folder:
        key = make_key(Path(folder), "agent")
        with deckwatch(Path(folder)) as server:
            headers = {"Authorization": f"Bearer {key}"}
            ask(server.port, Call(EVENTS, headers, [b"\n".join(events(BATCH))]))
            before = server.memory("VmHWM")
            statuses = at_once(server.port, [_large(headers, seed) for seed in range(BODIES)])
            if set(statuses) != {200}:
                raise Unmeasured(f"the bodies were answered {statuses}")
            most, after = server.memory("VmHWM"), server.memory("VmRSS")
    return alone(most, "MB", f"{before:.0f} MB before them, {after:.0f} MB after")


def _large(headers: dict[str, str], seed: int) -> Iterator[bytes]:
    """A request of the largest size, in pieces, so that eight of them need no 512 MiB here."""
    piece = b"".join(event + b"\n" for event in events(BATCH, seed=seed))
    times, rest = divmod(BODY_BYTES, len(piece))
    yield Call(EVENTS, headers, ()).head(BODY_BYTES)
    for number in range(times):
        yield piece.replace(b"stamp-000000000000", b"stamp-%012d" % (1 + number + seed * times))
    yield b" " * (rest - 1) + b"\n" if rest else b""


@dataclass(frozen=True, slots=True)
class _Turn:
    """One stretch of load on one server; `busy` is how many cores it kept."""

    load: Load
    busy: float


def _against(name: str, call: Call, batch: int, effort: Effort, *, rules: int = 1) -> Measured:
    """Events a second through Deckwatch and through the peer `name`, in turns; the middle of each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        own_headers = call.headers | {"Authorization": f"Bearer {make_key(folder, 'agent')}"}
        ours = stack.enter_context(deckwatch(folder, rules=rules))
        own_call = Call(call.path, own_headers, call.bodies)
        if ask(ours.port, own_call)[0] == 404:
            raise Unmeasured("not there yet")
        if rules > 1:
            _agree(ours, own_call, rules)
        other = stack.enter_context(peer(name))
        other_call = Call("/", call.headers, call.bodies)
        own_turns, other_turns = [], []
        for number in range(effort.turns + 1):
            own, theirs = _turn(ours, own_call, effort), _turn(other, other_call, effort)
            if number:  # the first is to warm up
                own_turns.append(own)
                other_turns.append(theirs)
    note = (
        f"{CONNECTIONS} connections; {_stored(own_turns, batch)}"
        f"ours {_spent(own_turns, batch)}, peer {_spent(other_turns, batch)}"
    )
    own_rate, other_rate = (
        median(batch * turn.load.requests / turn.load.seconds for turn in turns)
        for turns in (own_turns, other_turns)
    )
    return against_rate(own_rate, other_rate, "events/s", note)


def _spent(turns: Sequence[_Turn], batch: int) -> str:
    """Processor time and cores: what a machine that is busy with other things does not change much."""
    spent = sum(turn.busy * turn.load.seconds for turn in turns)
    count = batch * sum(turn.load.requests for turn in turns)
    busy = median(turn.busy for turn in turns)
    return f"{spent / count * 1e6:.3g} processor µs an event on {busy:.2f} cores"


def _agree(ours: Server, call: Call, rules: int) -> None:
    """Raises Unmeasured unless the server decides as the `eql` engine does with the same rules."""
    some = tempting_events(10 * SMALL_BATCH)
    _, told = ask(ours.port, Call(call.path, call.headers, [b"[" + b",".join(some) + b"]"]))
    wanted = matches_by_rule(queries(rules), some).total()
    if told.get("matched") != wanted:
        raise Unmeasured(f"{told.get('matched')} matches here, {wanted} in the peer")


def _turn(server: Server, call: Call, effort: Effort) -> _Turn:
    before = server.processor_seconds()
    load = hammer(server.port, call, effort.seconds)
    return _Turn(load, (server.processor_seconds() - before) / load.seconds)


def _stored(turns: Sequence[_Turn], batch: int) -> str:
    """What share of the events was stored; raises Unmeasured when it is less than it should be."""
    answers = [told for turn in turns for told in turn.load.answers]
    if any(told.get("errors") for told in answers):
        raise Unmeasured("some events were refused")
    if not all("matched" in told for told in answers):  # as bulk answers
        return ""
    share = sum(told["matched"] for told in answers) / (batch * len(answers))
    if share * MATCHING_EVERY < 1:
        raise Unmeasured(f"only {share:.2%} of the events were stored")
    return f"{share:.1%} stored; "
