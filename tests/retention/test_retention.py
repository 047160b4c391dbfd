"""Retention: expired data is deleted, open alerts are kept; one file, because all tests share fixtures."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.clock import utc_now
from app.domain.errors import Conflict
from app.domain.principal import CLI_PRINCIPAL, Role
from app.jobs import retention as actions
from app.main import create_app
from app.settings import Settings, read_settings
from app.store import audit, pruning, retention, retention_lease
from app.store.audit import AuditFilter
from app.store.database import Database
from app.store.deleted_counts import DeletedCounts
from tests.conftest import AgentClient, FakeClock
from tests.factories import benign_event, exec_event
from tests.processes import run, wait_until

INVALID_JSON = b'{"not": '


@pytest.fixture
def clock() -> FakeClock:
    """A clock that starts 400 days ago, because commands use the real clock and must see expired data."""
    clock = FakeClock()
    clock.now = utc_now().replace(microsecond=0)
    clock.advance(days=-400)
    return clock


@pytest.fixture(autouse=True)
def _no_background_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the running application's own job from deleting data in the middle of a slow test."""
    monkeypatch.setattr(actions, "FIRST_RUN_DELAY_SECONDS", 3600.0)


@dataclass
class Admin:
    """An admin with an API key, because a session would expire in the years that these tests span."""

    client: TestClient
    key: str

    def request(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.client.request(method, path, json=body, headers=headers)


@pytest.fixture
def admin(anonymous: TestClient, make_key: Callable[[str, Role], str]) -> Admin:
    return Admin(anonymous, make_key("ada", Role.ADMIN))


@pytest.fixture
def close(admin: Admin) -> Callable[..., None]:
    def closed(*alerts: int, status: str = "closed") -> None:
        for alert in alerts:
            change = {"status": status}
            if status == "closed":
                change |= {"verdict": "false positive", "reason": "A test."}
            response = admin.request("PATCH", f"/api/v1/alerts/{alert}", change)
            assert response.status_code == 200, response.text

    return closed


def query_rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    assert database.path is not None
    with closing(sqlite3.connect(database.path)) as connection:
        return connection.execute(query).fetchall()


def ids(database: Database, table: str = "alert") -> list[int]:
    return [row for (row,) in query_rows(database, f"SELECT id FROM {table} ORDER BY id")]  # noqa: S608


def is_consistent(database: Database) -> bool:
    """Return whether all match counts are correct and no row refers to a deleted row."""
    wrong_counts = query_rows(
        database,
        "SELECT id FROM alert WHERE match_count !="
        " (SELECT count(*) FROM rule_match WHERE alert_id = alert.id)",
    )
    return wrong_counts == [] and query_rows(database, "PRAGMA foreign_key_check") == []


def pruning_audit_details(database: Database) -> list[str]:
    """Return the audit entries of retention, newest first; the chain of entries must be valid."""
    with database.read() as session:
        assert audit.first_invalid_entry(session) is None
        entries = audit.search(session, AuditFilter(action="retention"), 100)
        return [f"{entry.actor}: {entry.detail}" for entry in entries]


def prune(database: Database, clock: FakeClock, settings: Settings, **more: Any) -> DeletedCounts:
    limits = actions.retention_limits(settings, clock())
    return actions.prune(database, limits, clock=clock, principal=CLI_PRINCIPAL, **more)


def test_db_prune_deletes_expired_data_and_keeps_open_alerts(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    tmp_path: Path,
) -> None:
    for host in ("old-closed", "old-open", "old-acknowledged"):
        agent.send_events([exec_event(host=host), exec_event(host=host)])
    agent.send_events(INVALID_JSON)
    close(1)
    close(3, status="acknowledged")
    clock.advance(days=399)
    agent.send_events([exec_event(host="new-closed"), benign_event()])
    agent.send_events(INVALID_JSON + b"2")
    close(4)
    minutes = query_rows(database, "SELECT count(*) FROM key_minute")
    dry_run = run(tmp_path, "db", "prune", "--dry-run")
    expected = "1 closed alerts with 2 matches, 1 quarantined events, 1 minutes of traffic counts"
    assert (dry_run.returncode, dry_run.stderr) == (0, f"Would delete {expected}.\n")
    assert ids(database) == [1, 2, 3, 4]
    assert pruning_audit_details(database) == []
    result = run(tmp_path, "db", "prune")
    assert (result.returncode, result.stderr, result.stdout) == (0, f"Deleted {expected}.\n", "")
    assert ids(database) == [2, 3, 4]
    assert ids(database, "quarantine") == [2]
    assert query_rows(database, "SELECT count(*) FROM key_minute") == [(minutes[0][0] - 1,)]
    assert is_consistent(database)
    assert pruning_audit_details(database) == [f"command line: {expected}"]
    second_result = run(tmp_path, "db", "prune")
    assert (second_result.returncode, second_result.stderr) == (0, "Deleted nothing.\n")
    assert len(pruning_audit_details(database)) == 1
    assert run(tmp_path, "db", "check").returncode == 0


def test_db_prune_without_a_database_prints_one_sentence(tmp_path: Path) -> None:
    result = run(tmp_path, "db", "prune")
    assert result.returncode == 1
    assert result.stderr == "deckwatch: There is no database deckwatch.db.\n".replace(
        "deckwatch.db", str(tmp_path / "deckwatch.db")
    )
    assert list(tmp_path.iterdir()) == []


def test_the_previous_alert_is_kept_until_its_successor_is_closed(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
    admin: Admin,
) -> None:
    for alert in (1, 2):
        agent.send_events(exec_event())
        close(alert)
    clock.advance(days=390)
    agent.send_events(exec_event())
    assert prune(database, clock, settings) == DeletedCounts(alerts=1, matches=1, minutes=1)
    assert ids(database) == [2, 3]
    assert query_rows(database, "SELECT previous_id FROM alert") == [(None,), (2,)]
    close(3)
    assert prune(database, clock, settings).alerts == 1
    assert query_rows(database, "SELECT id, previous_id FROM alert") == [(3, None)]
    assert admin.request("GET", "/api/v1/alerts/3").status_code == 200
    assert is_consistent(database)


def test_an_exclusion_is_kept_when_its_alert_and_its_suppressed_matches_expire(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
    admin: Admin,
) -> None:
    agent.send_events(exec_event())
    response = admin.request("POST", "/api/v1/exclusions", exclusion_body(admin, clock))
    assert response.status_code == 201, response.text
    agent.send_events(exec_event())
    close(1)
    clock.advance(days=300)
    agent.send_events(exec_event(host="another"))
    clock.advance(days=66)
    assert prune(database, clock, settings) == DeletedCounts(
        alerts=1, matches=1, suppressed=1, minutes=1
    )
    assert ids(database) == [2]
    assert is_consistent(database)
    assert admin.request("GET", "/api/v1/exclusions/1").status_code == 200


def exclusion_body(admin: Admin, clock: FakeClock) -> dict[str, Any]:
    alert = admin.request("GET", "/api/v1/alerts/1").json()
    return {
        "rule_id": alert["rule_id"],
        "conditions": [
            {"field": "container.image.name", "operator": "is", "values": ["shop/web"]},
            {"field": "process.name", "operator": "is", "values": ["ssh"]},
        ],
        "reason": "deploys",
        "owner": "ada",
        "ends_at": (clock() + timedelta(days=89)).isoformat(),
        "from_alert": 1,
    }


def test_an_alert_too_large_for_one_batch_is_deleted_in_several_consistent_batches(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "MAX_BATCH_ROWS", 16)
    agent.send_events([exec_event() for _ in range(100)])
    close(1)
    clock.advance(days=366)
    deleted_matches: list[int] = []

    def between_batches(deleted: DeletedCounts) -> None:
        deleted_matches.append(deleted.matches)
        assert is_consistent(database)
        assert admin.request("GET", "/api/v1/alerts/1").status_code == (
            404 if deleted.alerts else 200
        )

    assert prune(database, clock, settings, on_progress=between_batches) == DeletedCounts(
        alerts=1, matches=100
    )
    assert len(deleted_matches) > 5
    assert pruning_audit_details(database) == ["command line: 1 closed alerts with 100 matches"]


def test_an_alert_that_is_reopened_during_a_run_keeps_its_remaining_matches(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actions, "MAX_BATCH_ROWS", 16)
    agent.send_events([exec_event() for _ in range(50)])
    close(1)
    clock.advance(days=366)
    counts_at_reopening: list[DeletedCounts] = []

    def between_batches(deleted: DeletedCounts) -> None:
        if not counts_at_reopening:
            counts_at_reopening.append(deleted)
            close(1, status="open")

    deleted = prune(database, clock, settings, on_progress=between_batches)
    assert deleted == counts_at_reopening[0]
    assert deleted.alerts == 0
    kept = admin.request("GET", "/api/v1/alerts/1").json()
    assert kept["status"] == "open"
    assert kept["match_count"] == 50 - deleted.matches > 0
    assert is_consistent(database)


def test_a_second_run_at_the_same_time_fails_with_a_conflict(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
) -> None:
    agent.send_events(exec_event())
    close(1)
    clock.advance(days=366)
    conflicts: list[str] = []

    def run_again(_: DeletedCounts) -> None:
        with pytest.raises(Conflict) as caught:
            prune(database, clock, settings)
        conflicts.append(str(caught.value))

    assert prune(database, clock, settings, on_progress=run_again).alerts == 1
    assert conflicts == ["Another process is deleting expired data; try again in a minute."]
    assert len(pruning_audit_details(database)) == 1


def test_the_next_run_records_the_deletions_of_a_killed_run(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
) -> None:
    agent.send_events([exec_event(), exec_event(host="b")])
    close(1, 2)
    clock.advance(days=366)
    limits = actions.retention_limits(settings, clock())
    with database.write() as session:
        retention_lease.acquire_lease(session, "killed", clock(), clock() + actions.LEASE_DURATION)
    with database.read() as session:
        batch = retention.next_batch(session, limits, clock(), 1)
    assert batch is not None
    with database.write() as session:
        deleted = pruning.delete_batch(session, batch)
        retention_lease.renew_lease(session, "killed", clock() + actions.LEASE_DURATION, deleted)
    with pytest.raises(Conflict):
        prune(database, clock, settings)
    clock.advance(minutes=2)
    assert prune(database, clock, settings) == DeletedCounts(alerts=1, matches=1)
    assert pruning_audit_details(database) == ["command line: 2 closed alerts with 2 matches"]


def test_the_maximum_size_deletes_the_oldest_closed_alerts_and_keeps_open_and_live_data(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    admin: Admin,
) -> None:
    agent.send_events(exec_event(image="shop/web"))
    response = admin.request("POST", "/api/v1/exclusions", exclusion_body(admin, clock))
    assert response.status_code == 201, response.text
    agent.send_events(exec_event(image="shop/web", padding="x" * 200_000))
    for number in range(12):
        # With another image, so that the exclusion does not cover it.
        event = exec_event(host=f"big-{number}", image="other", padding="x" * 200_000)
        agent.send_events(event)
        clock.advance(minutes=1)
        close(number + 2)
    limit = 2 * 1024 * 1024
    settings = read_settings(database_url=str(database.engine.url), retention_max_bytes=limit)
    deleted = prune(database, clock, settings)
    remaining = ids(database)
    assert 0 < deleted.alerts < 12
    open_alert, newest_closed = 1, range(2 + deleted.alerts, 14)
    assert remaining == [open_alert, *newest_closed]
    assert query_rows(database, "SELECT count(*) FROM rule_match WHERE exclusion_id = 1") == [(1,)]
    with database.read() as session:
        assert not retention.exceeds_max_size(session, actions.retention_limits(settings, clock()))
    assert is_consistent(database)


def test_db_prune_fails_if_the_maximum_size_cannot_be_reached(
    agent: AgentClient, database: Database, tmp_path: Path
) -> None:
    agent.send_events(exec_event(padding="x" * 1_500_000))
    result = run(tmp_path, "db", "prune", RETENTION_MAX_BYTES=str(1024 * 1024))
    assert result.returncode == 1
    assert "nothing more may be deleted" in result.stderr
    assert ids(database) == [1]


def test_a_running_server_prunes_by_itself_and_writes_an_audit_entry(
    settings: Settings,
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent.send_events(exec_event())
    close(1)
    clock.advance(days=366)
    monkeypatch.setattr(actions, "FIRST_RUN_DELAY_SECONDS", 0.0)
    with TestClient(create_app(settings, clock=clock)):
        wait_until(lambda: pruning_audit_details(database) != [], "the alert is gone")
    assert pruning_audit_details(database) == ["Deckwatch: 1 closed alerts with 1 matches"]
    assert admin.request("GET", "/api/v1/alerts/1").status_code == 404


def test_a_locked_database_ends_a_run_and_the_next_run_continues(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
    tmp_path: Path,
) -> None:
    agent.send_events(exec_event())
    close(1)
    clock.advance(days=400)
    with closing(sqlite3.connect(tmp_path / "deckwatch.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        result = run(tmp_path, "db", "prune")
        other.execute("ROLLBACK")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "The database is busy" in result.stderr
    assert prune(database, clock, settings).alerts == 1
