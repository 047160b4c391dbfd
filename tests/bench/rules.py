"""The rules of the benchmark, generated in two styles with a fixed seed, and events that match them often.

The file is long because of the tables from which rules are generated. Both styles begin with the rule
`ssh_in_container`.

`RuleStyle.ALIKE`: each rule is `ssh_in_container` with three other program names, out of about a hundred
names. The floors of the performance targets were set for rules of this shape, which have common clauses
and differ in their names: the detector shares the common clauses in one generated function and looks the
rules up by `process.name`.

`RuleStyle.MIXED`: rules in the style that people write for Linux processes. Of every 20 rules,

- 6 compare `process.name ==`, 4 use `process.name in`, and 1 requires a shell with `-c` and a script, so
  the process name alone can exclude 11 of the 20 rules.
- 2 require a name or a wildcard (`process.name : ("nc", "ncat*")`), and 2 have an `or` of two cases with
  different names and arguments.
- 2 test the path of the program instead of its name (`process.executable : "/tmp/*"`), 1 tests the parent
  process (`process.parent.name in`), and 1 begins with `any where`.
- 1 is for Windows or macOS.

All rules except those with `any where` and those for Windows or macOS begin with `host.os.type`,
`event.type` and `event.action`, as people write them, although the peer would be faster with the name
first. Three in five test the arguments with wildcards, and two in five exclude harmless parents with `not`.
No floor was set for mixed rules. Their figures are reported too, because the figures for alike rules do not
apply to all rules.

Both engines accept the same text for all clauses except those for `process.args`, which is a list. In the
`eql` package, `==` and `:` do not compare the elements of a list, so these clauses have a second version
that uses functions.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from uuid import UUID

from app.detection.rule import Rule, load_rules
from app.resources import bundled_rules_dir
from tests.bench.events import process_event
from tests.bench.vocabulary import (
    COMMON,
    FAMILIES,
    HARMLESS,
    PARENTS,
    PIECES,
    PLACES,
    RARE,
    SERVERS,
    SHELLS,
    SWITCHES,
    TOOLS,
    WINDOWS,
    seeded_random,
)

OURS = "ssh_in_container"


@dataclass(frozen=True, slots=True)
class Query:
    """The same query as text for our engine and as text for the `eql` package."""

    ours: str
    peers: str


@dataclass(frozen=True, slots=True)
class RuleText:
    """A generated rule before it is loaded; `name` is usable as a file name."""

    name: str
    query: Query


class RuleStyle(StrEnum):
    ALIKE = "alike"
    MIXED = "mixed"


def generate_rules(count: int, style: RuleStyle = RuleStyle.MIXED) -> list[RuleText]:
    """Return `count` rules. A larger set begins with the rules of each smaller set."""
    own = packaged_rule()
    rng = seeded_random(20)
    made = [RuleText(own.slug, _same(own.query))]
    for number in range(1, count):
        if style is RuleStyle.ALIKE:
            names = _listed(rng.sample(TOOLS, 3))
            query = _same(own.query.replace('"sshd", "ssh", "autossh"', names))
            assert query.ours != own.query
        else:
            query = _KINDS[(number - 1) % len(_KINDS)](rng)
        made.append(RuleText(f"made_up_{number:03}", query))
    return made[:count]


def packaged_rule() -> Rule:
    [own] = load_rules([bundled_rules_dir() / f"{OURS}.toml"]).rules
    return own


def write_rules(folder: Path, texts: Sequence[RuleText]) -> None:
    """Write a file for each rule except `ssh_in_container`, which is bundled with Deckwatch."""
    for number, text in enumerate(texts):
        if text.name != OURS:
            (folder / f"{text.name}.toml").write_text(_FILE.format(UUID(int=number), text), "utf-8")


def load_rule_set(folder: Path, count: int, style: RuleStyle = RuleStyle.MIXED) -> list[Rule]:
    """Write `count` rules to the empty `folder` and return them as loaded from there."""
    write_rules(folder, generate_rules(count, style))
    found = load_rules([bundled_rules_dir() / f"{OURS}.toml", folder])
    assert not found.problems, found.problems[0]
    assert len(found.rules) == count
    return list(found.rules)


def events_matching_often(count: int) -> list[bytes]:
    """Return events made of the words in the rules, so that most rules match some of the events."""
    rng = seeded_random(3)
    return [_often_matching_event(rng, number) for number in range(count)]


_FILE = """
[rule]
rule_id = "{0}"
name = "{1.name}"
description = "One of the benchmark."
type = "eql"
language = "eql"
severity = "low"
risk_score = 21
query = '''{1.query.ours}'''
"""


def _same(text: str) -> Query:
    return Query(text, text)


def _all(first: str, *clauses: Query) -> Query:
    return Query(
        " and\n  ".join([first, *(clause.ours for clause in clauses)]),
        " and\n  ".join([first, *(clause.peers for clause in clauses)]),
    )


_START = (
    'process where host.os.type == "linux" and event.type == "start" and event.action == "exec"'
)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _name_is(name: str) -> Query:
    return _same(f'process.name == "{name}"')


def _name_in(names: Sequence[str]) -> Query:
    return _same(f"process.name in ({_listed(names)})")


def _args_in(values: Sequence[str]) -> Query:
    return Query(
        f'process.args == "{values[0]}"'
        if len(values) == 1
        else f"process.args in ({_listed(values)})",
        f"arrayContains(process.args, {_listed(values)})",
    )


def _args_like(patterns: Sequence[str]) -> Query:
    return Query(
        f"process.args : ({_listed(patterns)})",
        f"arraySearch(process.args, each, each : ({_listed(patterns)}))",
    )


def _harmless(rng: Random) -> Query:
    if rng.random() < 0.5:
        return _same(f"not process.parent.executable : ({_listed(rng.sample(HARMLESS, 4))})")
    names = rng.sample(PARENTS, 3)
    return _same(
        f"not (process.parent.name in ({_listed(names)}) or "
        f"process.parent.executable : ({_listed(rng.sample(HARMLESS, 2))}))"
    )


def _arguments(rng: Random) -> Query:
    """Return a random clause about the arguments of the process."""
    variants: list[Callable[[], Query]] = [
        lambda: _args_in(rng.sample(SWITCHES, 1)),
        lambda: _args_in(rng.sample(SWITCHES, 3)),
        lambda: _args_like([*rng.sample(SWITCHES, 1), *rng.sample(PIECES, 2)]),
        lambda: _args_like(rng.sample(PIECES, 3)),
        lambda: _same(f"process.command_line : ({_listed(rng.sample(PIECES, 3))})"),
        lambda: _same(f"process.args_count >= {rng.randrange(2, 6)}"),
    ]
    return rng.choice(variants)()


def _one_name(rng: Random) -> Query:
    clauses = [_name_is(rng.choice(TOOLS)), _arguments(rng)]
    if rng.random() < 0.4:
        clauses.append(_harmless(rng))
    return _all(_START, *clauses)


def _some_names(rng: Random) -> Query:
    names = rng.sample(TOOLS, rng.randrange(2, 9))
    clauses = [_name_in(names), _arguments(rng)]
    if rng.random() < 0.4:
        clauses.append(_harmless(rng))
    return _all(_START, *clauses)


def _shell(rng: Random) -> Query:
    return _all(
        _START,
        _name_in(SHELLS),
        _args_in(["-c"]),
        _same(f"process.command_line : ({_listed(rng.sample(PIECES, 4))})"),
    )


def _wild_name(rng: Random) -> Query:
    names = [*rng.sample(TOOLS, 2), *rng.sample(FAMILIES, rng.randrange(1, 4))]
    return _all(
        _START, _same(f"process.name : ({_listed(names)})"), _args_like(rng.sample(PIECES, 3))
    )


def _either(rng: Random) -> Query:
    some, others = rng.sample(TOOLS, 2), rng.sample(TOOLS, 3)
    one, other = _args_in(rng.sample(SWITCHES, 2)), _args_like(rng.sample(PIECES, 2))
    variants = [
        f'(process.name == "{some[0]}" and {one}) or\n'
        f"   (process.name in ({_listed(others)}) and {other})"
        for one, other in ((one.ours, other.ours), (one.peers, other.peers))
    ]
    return _all(_START, Query(f"({variants[0]})", f"({variants[1]})"), _harmless(rng))


def _place(rng: Random) -> Query:
    place = _same(f"process.executable : ({_listed(rng.sample(PLACES, 3))})")
    return _all(_START, place, _harmless(rng))


def _served(rng: Random) -> Query:
    servers = _same(f"process.parent.name in ({_listed(rng.sample(SERVERS, 5))})")
    line = _same(f"process.command_line : ({_listed(rng.sample(PIECES, 5))})")
    return _all(_START, servers, line)


def _anything(rng: Random) -> Query:
    return _all(
        f'any where event.kind == "event" and user.name == "{rng.choice(("root", "postgres"))}"',
        _same(f'process.entry_leader.entry_meta.type == "{rng.choice(("container", "sshd"))}"'),
        _args_like(rng.sample(PIECES, 2)),
    )


def _elsewhere(rng: Random) -> Query:
    system, names = rng.choice(
        [("windows", WINDOWS), ("macos", ("osascript", "launchctl", "curl"))]
    )
    return _all(
        f'process where host.os.type == "{system}" and event.type == "start"',
        _same(f"process.name : ({_listed(rng.sample(names, 2))})"),
        _arguments(rng),
    )


_KINDS: tuple[Callable[[Random], Query], ...] = (
    *(_one_name, _some_names, _place, _one_name, _wild_name, _some_names, _one_name, _either),
    *(_served, _shell, _one_name, _some_names, _anything, _one_name, _wild_name, _some_names),
    *(_one_name, _either, _place, _elsewhere),
)


def _often_matching_event(rng: Random, number: int) -> bytes:
    names = (*TOOLS, *SHELLS, *COMMON[:20], *RARE[:20], *WINDOWS, "python3", "ncat", "osascript")
    name = rng.choice(names)
    folder = rng.choice(("/usr/bin", *PLACES)).removesuffix("/*").replace("*", "ada")
    pieces = [piece.replace("*", rng.choice(("", "x", " "))) for piece in rng.sample(PIECES, 2)]
    parent = rng.choice((*PARENTS, *SERVERS))
    event = process_event(
        rng,
        number,
        args=[name, *rng.sample(SWITCHES, 3), *pieces][: rng.randrange(2, 7)],
        executable=f"{folder}/{name}",
        parent=parent,
        parent_executable=rng.choice((f"/usr/bin/{parent}", *HARMLESS)).replace("*", "-get"),
        container=rng.random() < 0.5,
        event_id=f"tempting-{number}",
        system=rng.choice(("linux",) * 6 + ("windows", "macos")),
    )
    return json.dumps(event).encode()
