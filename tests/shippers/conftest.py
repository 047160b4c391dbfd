"""Fixtures of the shipper tests: a running server, sample events, and checks of what was stored."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, select

from app.actions import api_keys
from app.bootstrap import open_migrated_database
from app.domain.principal import CLI_PRINCIPAL, Role
from app.settings import read_settings
from app.store.database import Database
from app.store.tables import Alert, ApiKey, ApiKeyMinute, QuarantinedEvent
from tests.factories import benign_event, exec_event
from tests.processes import running_server, wait_until


def invalid_event(number: int) -> dict[str, Any]:
    """Return an event of no known format. The numbers make the events of a sample different."""
    return {"message": f"no process event {number}"}


def is_invalid(event: Mapping[str, Any]) -> bool:
    return "message" in event


@dataclass(frozen=True)
class EventSample:
    """The events that one shipper sends with its own API key.

    They are matching events of two hosts, events that no rule matches, and invalid events.
    """

    name: str
    key: str
    events: tuple[dict[str, Any], ...]
    database: Database

    @property
    def invalid_count(self) -> int:
        return sum(map(is_invalid, self.events))

    def file(self, folder: Path) -> Path:
        """Write the events to a file in `folder`, one event per line, and return its path."""
        path = folder / "events.ndjson"
        path.write_text("".join(json.dumps(event) + "\n" for event in self.events))
        return path

    def received(self) -> tuple[int, int]:
        """Return how many events the server received with the key, and how many of them it rejected."""
        with self.database.read() as session:
            found = session.exec(
                select(func.sum(ApiKeyMinute.received), func.sum(ApiKeyMinute.rejected))
                .join(ApiKey, col(ApiKey.id) == ApiKeyMinute.key_id)
                .where(ApiKey.name == self.name)
            ).one()
        return int(found[0] or 0), int(found[1] or 0)

    def alerts(self) -> dict[str, int]:
        """Return the match count of each alert of this sample, by host."""
        with self.database.read() as session:
            found = session.exec(select(Alert).where(col(Alert.host).startswith(self.name)))
            return {str(alert.host): alert.match_count for alert in found}

    def wait_for_arrival(self, times: int = 1) -> None:
        """Wait until the server has received each event `times` times, then check what it stored.

        Valid events must be stored once. Invalid events must be quarantined each time.
        """
        total = len(self.events)
        wait_until(
            lambda: self.received()[0] >= total * times, f"{self.name} sends its {total} events"
        )
        self.check_stored(times)

    def check_stored(self, times: int = 1) -> None:
        assert self.received() == (len(self.events) * times, self.invalid_count * times)
        assert self.alerts() == {f"{self.name}-a": 6, f"{self.name}-b": 6}
        with self.database.read() as session:
            kept = session.exec(
                select(func.sum(QuarantinedEvent.count))
                .join(ApiKey, col(ApiKey.id) == QuarantinedEvent.key_id)
                .where(ApiKey.name == self.name)
            ).one()
        assert (kept or 0) == self.invalid_count * times


@dataclass(frozen=True)
class Deckwatch:
    """A server process that listens on `port`, and its database."""

    port: int
    database: Database

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/elastic"

    def new_sample(self, name: str) -> EventSample:
        _, key = api_keys.create(
            self.database, name, Role.AGENT, principal=CLI_PRINCIPAL, at=datetime.now(UTC)
        )
        events: list[dict[str, Any]] = []
        for number in range(6):
            events += [
                exec_event(host=f"{name}-a"),
                invalid_event(number),
                benign_event(host=f"{name}-b"),
                exec_event(host=f"{name}-b"),
            ]
        return EventSample(name, key, tuple(events), self.database)


@pytest.fixture(scope="session")
def deckwatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deckwatch]:
    folder = tmp_path_factory.mktemp("deckwatch")
    with running_server(folder) as server:
        database = open_migrated_database(
            read_settings(database_url=f"sqlite:///{folder / 'deckwatch.db'}"),
            on_migrated=lambda _: None,
        )
        yield Deckwatch(server.port, database)
        database.close()


def environment_without_proxy() -> dict[str, str]:
    """Return the environment without proxy settings, so that shippers connect to 127.0.0.1 directly."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
