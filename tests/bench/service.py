"""Benchmarks of the server: its rate compared with the peers in `peer_apps.py`, and its memory."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.events import MATCHING_EVERY, events
from tests.bench.load import Call, Load, ask, run_load, send_concurrently
from tests.bench.peer_apps import RULES
from tests.bench.peers import matches_by_rule
from tests.bench.report import Measurement, NotMeasured, compare_rate, without_peer
from tests.bench.rules import events_matching_often, generate_rules
from tests.bench.scale import BenchScale
from tests.bench.servers import Server, deckwatch, make_key, peer

CONNECTIONS = 4
BATCH = 1_000
SMALL_BATCH = 100
EVENTS = "/api/v1/events"
BULK = "/elastic/_bulk"
BODIES = 8
# The default of DECKWATCH_MAX_BODY_BYTES.
BODY_BYTES = 64 * 1024 * 1024
_ACTION = b'{"create":{"_index":"logs-endpoint.events.process-default"}}\n'


def events_against_sink(scale: BenchScale) -> Measurement:
    """Measure `POST /api/v1/events` with 1,000 events per NDJSON body, against the peer `sink`."""
    bodies = [b"\n".join(events(BATCH, seed=seed)) for seed in range(CONNECTIONS)]
    return _compare_with_peer("sink", Call(EVENTS, {}, bodies), BATCH, scale)


def bulk_against_sink(scale: BenchScale) -> Measurement:
    """Measure `POST /elastic/_bulk` with 1,000 `create` actions per body, against the peer `sink`."""
    bodies = [
        b"".join(_ACTION + event + b"\n" for event in events(BATCH, seed=seed))
        for seed in range(CONNECTIONS)
    ]
    headers = {"Content-Type": "application/x-ndjson"}
    return _compare_with_peer("sink", Call(BULK, headers, bodies), BATCH, scale)


def against_pydantic(scale: BenchScale) -> Measurement:
    """Measure 100 rules with JSON arrays of 100 events, against the peer `pydantic`."""
    bodies = [
        b"[" + b",".join(events(SMALL_BATCH, seed=seed)) + b"]" for seed in range(CONNECTIONS)
    ]
    headers = {"Content-Type": "application/json"}
    return _compare_with_peer(
        "pydantic", Call(EVENTS, headers, bodies), SMALL_BATCH, scale, rules=RULES
    )


def memory(scale: BenchScale) -> Measurement:
    """Measure the largest resident memory of the server while it receives eight bodies of 64 MiB at once."""
    with TemporaryDirectory() as folder:
        key = make_key(Path(folder), "agent")
        with deckwatch(Path(folder)) as server:
            headers = {"Authorization": f"Bearer {key}"}
            ask(server.port, Call(EVENTS, headers, [b"\n".join(events(BATCH))]))
            before = server.memory("VmHWM")
            statuses = send_concurrently(
                server.port, [_large_body(headers, seed) for seed in range(BODIES)]
            )
            if set(statuses) != {200}:
                raise NotMeasured(f"the bodies were answered {statuses}")
            most, after = server.memory("VmHWM"), server.memory("VmRSS")
    return without_peer(most, "MB", f"{before:.0f} MB before them, {after:.0f} MB after")


def _large_body(headers: dict[str, str], seed: int) -> Iterator[bytes]:
    """Yield a request of the largest size in pieces, so that eight need no 512 MiB in this process."""
    piece = b"".join(event + b"\n" for event in events(BATCH, seed=seed))
    times, rest = divmod(BODY_BYTES, len(piece))
    yield Call(EVENTS, headers, ()).head(BODY_BYTES)
    for number in range(times):
        yield piece.replace(b"stamp-000000000000", b"stamp-%012d" % (1 + number + seed * times))
    yield b" " * (rest - 1) + b"\n" if rest else b""


@dataclass(frozen=True, slots=True)
class _LoadRound:
    """The result of one round of load on one server; `busy` is the average number of cores it used."""

    load: Load
    busy: float


def _compare_with_peer(
    name: str, call: Call, batch: int, scale: BenchScale, *, rules: int = 1
) -> Measurement:
    """Measure Deckwatch and the peer `name` in alternating rounds; compare their median events per second."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        own_headers = call.headers | {"Authorization": f"Bearer {make_key(folder, 'agent')}"}
        ours = stack.enter_context(deckwatch(folder, rules=rules))
        own_call = Call(call.path, own_headers, call.bodies)
        if ask(ours.port, own_call)[0] == 404:
            raise NotMeasured("not there yet")
        if rules > 1:
            _check_same_matches(ours, own_call, rules)
        other = stack.enter_context(peer(name))
        other_call = Call("/", call.headers, call.bodies)
        own_turns, other_turns = [], []
        for number in range(scale.load_rounds + 1):
            own, theirs = _run_round(ours, own_call, scale), _run_round(other, other_call, scale)
            if number:  # the first round is a warm-up and not counted
                own_turns.append(own)
                other_turns.append(theirs)
    note = (
        f"{CONNECTIONS} connections; {_stored_note(own_turns, batch)}"
        f"ours {_cpu_note(own_turns, batch)}, peer {_cpu_note(other_turns, batch)}"
    )
    own_rate, other_rate = (
        median(batch * turn.load.requests / turn.load.seconds for turn in load_rounds)
        for load_rounds in (own_turns, other_turns)
    )
    return compare_rate(own_rate, other_rate, "events/s", note)


def _cpu_note(load_rounds: Sequence[_LoadRound], batch: int) -> str:
    """Return processor time per event and cores used, which depend little on other load of the machine."""
    spent = sum(turn.busy * turn.load.seconds for turn in load_rounds)
    count = batch * sum(turn.load.requests for turn in load_rounds)
    busy = median(turn.busy for turn in load_rounds)
    return f"{spent / count * 1e6:.3g} processor µs an event on {busy:.2f} cores"


def _check_same_matches(ours: Server, call: Call, rules: int) -> None:
    """Raises NotMeasured unless the server finds as many matches as the `eql` engine with the same rules."""
    some = events_matching_often(10 * SMALL_BATCH)
    _, told = ask(ours.port, Call(call.path, call.headers, [b"[" + b",".join(some) + b"]"]))
    wanted = matches_by_rule(generate_rules(rules), some).total()
    if told.get("matched") != wanted:
        raise NotMeasured(f"{told.get('matched')} matches here, {wanted} in the peer")


def _run_round(server: Server, call: Call, scale: BenchScale) -> _LoadRound:
    before = server.processor_seconds()
    load = run_load(server.port, call, scale.seconds)
    return _LoadRound(load, (server.processor_seconds() - before) / load.seconds)


def _stored_note(load_rounds: Sequence[_LoadRound], batch: int) -> str:
    """Return the share of events that were stored, as text; raises NotMeasured if it is too small."""
    answers = [told for turn in load_rounds for told in turn.load.answers]
    if any(told.get("errors") for told in answers):
        raise NotMeasured("some events were refused")
    if not all("matched" in told for told in answers):  # responses of the bulk API have no count
        return ""
    share = sum(told["matched"] for told in answers) / (batch * len(answers))
    if share * MATCHING_EVERY < 1:
        raise NotMeasured(f"only {share:.2%} of the events were stored")
    return f"{share:.1%} stored; "
