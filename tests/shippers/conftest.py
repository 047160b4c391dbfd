"""A running Deckwatch that shippers send to, and what it has made of what one of them sent."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, select

from app.actions import keys
from app.domain.roles import COMMAND_LINE, Role
from app.settings import read_settings
from app.setup import opened
from app.store.database import Database
from app.store.tables import Alert, Key, KeyMinute, Quarantine
from tests.factories import exec_event, quiet_event
from tests.processes import serving, until

BAD = {"message": "no process event"}


@dataclass(frozen=True)
class Sent:
    """What every shipper is given: events of two hosts that match, ordinary ones, and bad ones among them."""

    name: str
    key: str
    events: tuple[dict[str, Any], ...]
    database: Database

    @property
    def bad(self) -> int:
        return sum(event == BAD for event in self.events)

    def file(self, folder: Path) -> Path:
        """One event a line."""
        path = folder / "events.ndjson"
        path.write_text("".join(json.dumps(event) + "\n" for event in self.events))
        return path

    def received(self) -> tuple[int, int]:
        """How many events came with the key, and how many of them were rejected."""
        with self.database.read() as session:
            found = session.exec(
                select(func.sum(KeyMinute.received), func.sum(KeyMinute.rejected))
                .join(Key, col(Key.id) == KeyMinute.key_id)
                .where(Key.name == self.name)
            ).one()
        return int(found[0] or 0), int(found[1] or 0)

    def alerts(self) -> dict[str, int]:
        """Matches by host."""
        with self.database.read() as session:
            found = session.exec(select(Alert).where(col(Alert.host).startswith(self.name)))
            return {str(alert.host): alert.match_count for alert in found}

    def arrives(self, times: int = 1) -> None:
        """Every event came so many times and no more; the good ones alert once, the bad ones are kept."""
        total = len(self.events)
        until(lambda: self.received()[0] >= total * times, f"{self.name} sends its {total} events")
        self.stays(times)

    def stays(self, times: int = 1) -> None:
        assert self.received() == (len(self.events) * times, self.bad * times)
        assert self.alerts() == {f"{self.name}-a": 6, f"{self.name}-b": 6}
        with self.database.read() as session:
            kept = session.exec(
                select(func.count())
                .select_from(Quarantine)
                .join(Key, col(Key.id) == Quarantine.key_id)
                .where(Key.name == self.name)
            ).one()
        assert kept == self.bad * times


@dataclass(frozen=True)
class Deckwatch:
    """A server process on `port`."""

    port: int
    database: Database

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/elastic"

    def to_send(self, name: str) -> Sent:
        _, key = keys.create(
            self.database, name, Role.AGENT, who=COMMAND_LINE, at=datetime.now(UTC)
        )
        events: list[dict[str, Any]] = []
        for _ in range(6):
            events += [
                exec_event(host=f"{name}-a"),
                BAD,
                quiet_event(host=f"{name}-b"),
                exec_event(host=f"{name}-b"),
            ]
        return Sent(name, key, tuple(events), self.database)


@pytest.fixture(scope="session")
def deckwatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deckwatch]:
    folder = tmp_path_factory.mktemp("deckwatch")
    with serving(folder) as server:
        database = opened(
            read_settings(database_url=f"sqlite:///{folder / 'deckwatch.db'}"),
            migrate=lambda _: None,
        )
        yield Deckwatch(server.port, database)
        database.close()


def environment() -> dict[str, str]:
    """For programs that are not ours: without a proxy between them and 127.0.0.1."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
