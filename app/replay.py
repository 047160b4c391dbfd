"""Events from files through detection and exclusions, with nothing stored."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.progress import Progress

from app.clock import utc_now
from app.detection.rule import Rule
from app.domain.errors import Unusable
from app.domain.event import Event, event_from_ecs
from app.domain.exclusion import Exclusion
from app.ingest.body import Item, TooLarge, UnreadableBody, cut, inflate
from app.ingest.pipeline import judge
from app.ingest.recording import covering
from app.main import detector_of, rules_of
from app.settings import Settings
from app.store import exclusions, schema
from app.store.database import Database

_ENDINGS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(slots=True)
class Summary:
    """Counts over all files; `by_rule` counts matches by the rule's name."""

    events: int = 0
    suppressed: int = 0
    rejected: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)

    def sentence(self) -> str:
        rules = "".join(f"\n  {count:>8,}  {name}" for name, count in self.by_rule.most_common())
        return (
            f"{self.events:,} events, {sum(self.by_rule.values()):,} matches "
            f"({self.suppressed:,} suppressed), {self.rejected:,} rejected{rules}"
        )


def replay_files(
    names: Sequence[str], settings: Settings, *, write: Callable[[dict[str, Any]], None]
) -> Summary:
    """`write` gets one row per match. Raises Unusable for a file that cannot be read."""
    detector = detector_of(rules_of(settings.rules))
    live = _live_exclusions(settings)
    now = utc_now()
    summary = Summary()
    with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        for name in names:
            items = _items(name, settings)
            task = progress.add_task(escape(name), total=len(items))
            summary.events += len(items)
            for judged in judge(items, detector, settings.max_event_bytes):
                progress.update(task, completed=judged.item.index + 1)
                if judged.refusal is not None:
                    summary.rejected += 1
                    print(f"{name}:{judged.item.line}: {judged.refusal}", file=sys.stderr)
                elif judged.rules and judged.document is not None:
                    event = event_from_ecs(judged.document)
                    for rule in judged.rules:
                        excluded_by = covering(live, event, rule.id, now)
                        summary.by_rule[rule.name] += 1
                        summary.suppressed += excluded_by is not None
                        write(_row(name, judged.item.line, rule, event, excluded_by))
    return summary


def _row(
    name: str, line: int, rule: Rule, event: Event, excluded_by: Exclusion | None
) -> dict[str, Any]:
    return {
        "file": name,
        "line": line,
        "rule": {"id": rule.id, "name": rule.name},
        "headline": event.headline,
        "event_id": event.id,
        "host": event.host_name,
        "container": event.container,
        "user": event.user_name,
        "command_line": event.process.command_line,
        "suppressed_by": {"exclusion": excluded_by.id, "version": excluded_by.version}
        if excluded_by
        else None,
    }


def _live_exclusions(settings: Settings) -> Mapping[str, Sequence[Exclusion]]:
    """Those of the database, when there is one: replaying needs none and makes none."""
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        return {}
    database = Database(settings.database_url)
    if problems := schema.check(database):
        raise Unusable(f"The database cannot be used: {problems[0]}.")
    with database.read() as session:
        return exclusions.by_rule(exclusions.live(session))


def _items(name: str, settings: Settings) -> list[Item]:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Unusable(f"{name} cannot be read: {error.strerror}.") from None
    limit = max(settings.max_body_bytes, 8 * 1024**3)
    try:
        return cut(inflate(raw, _ENDINGS.get(Path(name).suffix, ""), limit))
    except (UnreadableBody, TooLarge) as error:
        raise Unusable(f"{name}: {error}") from None
