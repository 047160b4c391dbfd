"""Batches of matches into one open transaction: known already, suppressed, or into its alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.detection.rule import Rule
from app.domain.alert import (
    Grouping,
    Priority,
    Status,
    Verdict,
    bounded,
    fingerprint,
    grouping,
    priority,
    severity_of,
)
from app.domain.event import Event
from app.domain.exclusion import Exclusion
from app.domain.text import clipped
from app.store import alert_batches, matches, revisions
from app.store.database import Session

# A megabyte of arguments belongs in the event, not in every line of a list.
SHOWN_LIMIT = 4_000
NAME_LIMIT = 500


@dataclass(frozen=True, slots=True)
class NewMatch:
    """`raw` is the event as its agent wrote it."""

    key_id: int
    rule: Rule
    event: Event
    raw: bytes


@dataclass(slots=True)
class Outcome:
    """Matches of one batch. `matched` were stored now, `suppressed` are those of them that an exclusion
    covered, `duplicates` were stored before.
    """

    matched: int = 0
    suppressed: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class _Episode:
    """What one transaction does to one alert, new or standing; `row` is a new one's."""

    id: int
    priority: int
    history: Sequence[Mapping[str, Any]]
    last_seen: datetime
    row: dict[str, Any] | None = None
    more: int = 0
    told: dict[str, Any] | None = None


def record(
    session: Session,
    batches: Sequence[Sequence[NewMatch]],
    *,
    exclusions: Mapping[str, Sequence[Exclusion]],
    at: datetime,
) -> list[Outcome]:
    """Store what is new of each batch as received `at`; the caller commits. `exclusions` are by rule."""
    seen = matches.known(session, {_identity(match) for batch in batches for match in batch})
    outcomes: list[Outcome] = []
    rows: list[dict[str, Any]] = []
    alerting: list[tuple[NewMatch, Grouping, dict[str, Any]]] = []
    for batch in batches:
        outcomes.append(outcome := Outcome())
        for match in batch:
            if _identity(match) in seen:
                outcome.duplicates += 1
                continue
            seen.add(_identity(match))
            outcome.matched += 1
            rows.append(row := _row(match, at))
            excluded_by = covering(exclusions, match.event, match.rule.id, at)
            if excluded_by is not None:
                outcome.suppressed += 1
                row["exclusion_id"] = excluded_by.id
                row["exclusion_version"] = excluded_by.version
            else:
                alerting.append((match, grouping(match.rule.id, match.event), row))
    if alerting:
        _raise_alerts(session, alerting, at)
        revisions.bump(session, revisions.ALERTS)
    matches.insert_many(session, rows)
    return outcomes


def _identity(match: NewMatch) -> matches.Identity:
    return match.key_id, match.event.id, match.rule.id


def covering(
    exclusions: Mapping[str, Sequence[Exclusion]], event: Event, rule_id: str, at: datetime
) -> Exclusion | None:
    """The first exclusion of the rule that covers `event`, None when it should alert."""
    own = exclusions.get(rule_id, ())
    return next((one for one in own if one.covers(event, rule_id=rule_id, at=at)), None)


def _row(match: NewMatch, at: datetime) -> dict[str, Any]:
    return {
        "rule_id": match.rule.id,
        "key_id": match.key_id,
        "event_id": match.event.id,
        "received_at": at,
        "occurred_at": match.event.occurred_at,
        "alert_id": None,
        "exclusion_id": None,
        "exclusion_version": None,
        "event": match.raw,
    }


def _raise_alerts(
    session: Session,
    alerting: Sequence[tuple[NewMatch, Grouping, dict[str, Any]]],
    at: datetime,
) -> None:
    """Open or bump the alert of each match, and name it in the match's row."""
    prints = [fingerprint(shared) for _, shared, _ in alerting]
    standing = alert_batches.standing(session, prints)
    closed = alert_batches.last_closed(session, set(prints).difference(standing))
    episodes = {
        shared_print: _Episode(found.id, found.priority, _history(found), found.last_seen)
        for shared_print, found in standing.items()
    }
    for shared_print, (match, shared, _) in zip(prints, alerting, strict=True):
        if shared_print in episodes:
            _bump(episodes[shared_print], match)
        else:
            before = closed.get(shared_print)
            episodes[shared_print] = _opened(match, shared, shared_print, before, at)
    _store(session, episodes, closed, at)
    for shared_print, (_, _, row) in zip(prints, alerting, strict=True):
        row["alert_id"] = episodes[shared_print].id


def _store(
    session: Session,
    episodes: Mapping[str, _Episode],
    closed: Mapping[str, alert_batches.Closed],
    at: datetime,
) -> None:
    """One statement for all of a kind: one for each would hold the write lock for long in a flood."""
    opened: list[tuple[str, _Episode, dict[str, Any]]] = []
    added: list[tuple[int, int, datetime]] = []
    told: list[tuple[int, Mapping[str, Any]]] = []
    for shared_print, episode in episodes.items():
        if episode.row is not None:
            row = episode.row | (episode.told or {})
            opened.append((shared_print, episode, row | {"match_count": 1 + episode.more}))
            continue
        added.append((episode.id, episode.more, max(episode.last_seen, at)))
        if episode.told is not None:
            told.append((episode.id, episode.told))
    ids = alert_batches.open_many(session, [row for _, _, row in opened])
    for (_, episode, _), made in zip(opened, ids, strict=True):
        episode.id = made
    alert_batches.add_matches(session, added)
    alert_batches.tell(session, told)
    alert_batches.add_activities(
        session,
        [_opening(episode.id, closed.get(shared_print), at) for shared_print, episode, _ in opened],
    )


def _history(found: alert_batches.Standing) -> list[Mapping[str, Any]]:
    return [part for part in found.priority_parts if part.get("history")]


def _opened(
    match: NewMatch,
    shared: Grouping,
    shared_print: str,
    previous: alert_batches.Closed | None,
    at: datetime,
) -> _Episode:
    last_verdict = Verdict(previous.verdict) if previous and previous.verdict else None
    ranked = priority(match.rule.risk_score, match.event, last_verdict)
    event = match.event
    telling = _telling(match, ranked)
    row = {
        "rule_id": match.rule.id,
        "rule_name": match.rule.name,
        "fingerprint": shared_print,
        "status": str(Status.OPEN),
        "version": 1,
        "first_seen": at,
        "last_seen": at,
        "assignee_id": None,
        "verdict": None,
        "reason": None,
        "closed_at": None,
        "closed_by": None,
        "previous_id": previous.id if previous else None,
        "host": _name(shared.host),
        "container_id": _name(event.container_id),
        "container": _name(event.container),
        "image": _name(event.image),
        "namespace": _name(event.namespace),
        "pod": _name(event.pod),
        "user_name": _name(shared.account),
        "process_name": _name(shared.process),
        "destination": _name(shared.destination),
        **telling,
    }
    history = [part for part in telling["priority_parts"] if part["history"]]
    return _Episode(0, telling["priority"], history, at, row)


def _opening(alert_id: int, previous: alert_batches.Closed | None, at: datetime) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "at": at,
        "actor": "Deckwatch",
        "kind": "opened",
        "before": str(previous.id) if previous else None,
        "after": previous.verdict if previous else None,
        "comment": None,
    }


def _bump(episode: _Episode, match: NewMatch) -> None:
    episode.more += 1
    ranked = priority(match.rule.risk_score, match.event, None)
    points = [part.points for part in ranked.parts]
    points += [int(part["points"]) for part in episode.history]
    if (total := bounded(points)) > episode.priority:
        # The list shows the worst that an alert holds, not what happened to come first.
        episode.told = _telling(match, ranked, episode.history)
        episode.priority = total


def _telling(
    match: NewMatch, ranked: Priority, history: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What a list shows of the match that ranks highest."""
    event = match.event
    line = event.process.command_line
    title = event.headline
    parts: list[Mapping[str, Any]] = [
        {"why": part.why, "points": part.points, "history": part.from_history}
        for part in ranked.parts
    ]
    parts += history
    total = bounded(int(part["points"]) for part in parts)
    searched = [
        title,
        line,
        event.host_name,
        event.container,
        event.container_id,
        event.image,
        event.namespace,
        event.pod,
        event.user_name,
        event.ssh.destination if event.ssh else None,
    ]
    return {
        "shown_key_id": match.key_id,
        "shown_event_id": event.id,
        "severity": str(severity_of(total)),
        "priority": total,
        "priority_parts": parts,
        "headline": clipped(title, NAME_LIMIT),
        "command_line": clipped(line, SHOWN_LIMIT),
        "ssh_role": str(event.ssh.role) if event.ssh else None,
        "chips": [
            {"label": found.short, "risk": found.risk, "title": clipped(found.sentence, NAME_LIMIT)}
            for found in (event.ssh.findings if event.ssh else ())
            if found.risk > 0
        ][:12],
        "search_text": clipped("\n".join(filter(None, searched)), 2 * SHOWN_LIMIT).casefold(),
    }


def _name(value: str | None) -> str | None:
    return clipped(value, NAME_LIMIT) if value else None
