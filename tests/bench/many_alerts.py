"""Fills a database with a million alerts for the benchmark of the alert list.

The alerts are copies of a few alerts that the pipeline created, with some values replaced. Columns that are
not named here are copied unchanged, so a new column needs no change here. 8 % of the copies are not closed,
and more of the new ones than of the old ones. Hosts, images and other values are distributed unevenly, as
in a real fleet.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import column, create_engine, insert, table

from app.domain.alert import Status, Verdict
from app.domain.severity import Severity
from app.domain.ssh import SshRole
from tests.bench.vocabulary import seeded_random

CHUNK = 20_000
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
_SECONDS_BETWEEN = 20
_SEARCHED = (
    *("headline", "command_line", "host", "container", "image"),
    *("namespace", "user_name", "destination"),
)
_RULES = 12
_HOSTS = 2_000
_CONTAINERS = 50_000
_IMAGES = 300
_NAMESPACES = 40
_USERS = 100
_DESTINATIONS = 20_000


def fill(url: str, count: int, assignees: list[int]) -> None:
    """Copy the existing alerts until there are `count` alerts, as fast as SQLite allows.

    Rows are inserted with the values that SQLite stores, such as texts for times, so that SQLAlchemy
    converts no values.
    """
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        found = connection.exec_driver_sql("SELECT * FROM alert ORDER BY id").mappings().all()
        originals = [dict(style) for style in found]
        indexes = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master "
            "WHERE type = 'index' AND tbl_name = 'alert' AND sql IS NOT NULL"
        ).all()
        for name, _ in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        into = insert(table("alert", *(column(name) for name in originals[0])))
        rows = _copies(originals, count, assignees)
        for _ in range(len(originals), count, CHUNK):
            connection.execute(into, [style for style, _ in zip(rows, range(CHUNK), strict=False)])
        for _, sql in indexes:
            connection.exec_driver_sql(sql)
        connection.commit()
    engine.dispose()


def _copies(
    originals: list[dict[str, Any]], count: int, assignees: list[int]
) -> Iterator[dict[str, Any]]:
    rng = seeded_random(7)

    def uneven(many: int) -> int:
        return int(many * rng.random() ** 3)

    severities, verdicts, roles = list(Severity), list(Verdict), list(SshRole)
    for number in range(len(originals), count):
        age = count - number
        container, image = uneven(_CONTAINERS), uneven(_IMAGES)
        namespace, user = uneven(_NAMESPACES), uneven(_USERS)
        host, destination = uneven(_HOSTS), uneven(_DESTINATIONS)
        seen = _stored_note(NOON - timedelta(seconds=age * _SECONDS_BETWEEN + rng.random()))
        closed = rng.random() > (0.5 if age < count / 10 else 0.03)
        rule = uneven(_RULES)
        style = originals[number % len(originals)] | {
            "id": number + 1,
            "fingerprint": f"{number:032x}",
            "status": Status.CLOSED
            if closed
            else rng.choice((Status.OPEN, Status.OPEN, Status.OPEN, Status.ACKNOWLEDGED)),
            "severity": severities[uneven(len(severities))],
            "priority": rng.randrange(20, 100),
            "first_seen": seen,
            "last_seen": seen,
            "match_count": 1 + uneven(5_000),
            "assignee_id": rng.choice((None, None, *assignees)),
            "verdict": verdicts[uneven(len(verdicts))] if closed else None,
            "reason": "Known maintenance" if closed else None,
            "closed_at": seen if closed else None,
            "closed_by": "ada" if closed else None,
            "host": f"node-{host}",
            "container_id": f"{container:064x}",
            "container": f"web-{container}",
            "image": f"shop/web-{image}",
            "namespace": f"team-{namespace}",
            "user_name": f"user-{user}",
            "destination": f"10.42.{destination >> 8}.{destination & 255}",
            "ssh_role": roles[uneven(len(roles))],
        }
        if rule:  # the other copies keep the rule of the original
            style["rule_id"] = f"00000000-0000-0000-0000-{rule:012}"
            style["rule_name"] = f"Rule {rule}"
        style["search_text"] = "\n".join(str(style[name]) for name in _SEARCHED).casefold()
        yield style


def _stored_note(moment: datetime) -> str:
    """Format a time as SQLAlchemy stores it in SQLite."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
