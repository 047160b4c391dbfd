"""Long, for all of it needs alerts over years: what is too old goes, what is worked on stays."""

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
from app.store.retention import DeletedCounts
from tests.conftest import AgentClient, FakeClock
from tests.factories import benign_event, exec_event
from tests.processes import run, wait_until

INVALID_JSON = b'{"not": '


@pytest.fixture
def clock() -> FakeClock:
    """Begins long ago, so that commands, which ask the real clock, find old things."""
    clock = FakeClock()
    clock.now = utc_now().replace(microsecond=0)
    clock.advance(days=-400)
    return clock


@dataclass
class Admin:
    """By key: a session would not last for the years that these tests take."""

    client: TestClient
    key: str

    def ask(self, method: str, path: str, body: object = None) -> Any:
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
            answer = admin.ask("PATCH", f"/api/v1/alerts/{alert}", change)
            assert answer.status_code == 200, answer.text

    return closed


def query_rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    assert database.path is not None
    with closing(sqlite3.connect(database.path)) as connection:
        return connection.execute(query).fetchall()


def ids(database: Database, table: str = "alert") -> list[int]:
    return [row for (row,) in query_rows(database, f"SELECT id FROM {table} ORDER BY id")]  # noqa: S608


def is_consistent(database: Database) -> bool:
    """Whether every alert has as many matches as it says, and no row refers to one that is gone."""
    wrong = query_rows(
        database,
        "SELECT id FROM alert WHERE match_count !="
        " (SELECT count(*) FROM rule_match WHERE alert_id = alert.id)",
    )
    return wrong == [] and query_rows(database, "PRAGMA foreign_key_check") == []


def pruning_audit_details(database: Database) -> list[str]:
    """What the audit log says of it, newest first; its chain must be whole."""
    with database.read() as session:
        assert audit.first_invalid_entry(session) is None
        found = audit.search(session, AuditFilter(action="retention"), 100)
        return [f"{entry.actor}: {entry.detail}" for entry in found]


def prune(database: Database, clock: FakeClock, settings: Settings, **more: Any) -> DeletedCounts:
    limits = actions.retention_limits(settings, clock())
    return actions.prune(database, limits, clock=clock, principal=CLI_PRINCIPAL, **more)


def test_the_command_removes_what_is_old_and_leaves_what_is_worked_on(
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
    agent.send_events(INVALID_JSON)
    close(4)
    minutes = query_rows(database, "SELECT count(*) FROM key_minute")
    dry = run(tmp_path, "db", "prune", "--dry-run")
    expected = (
        "1 closed alerts with 2 matches, 1 quarantined events, 1 minutes of traffic counts"
    )
    assert (dry.returncode, dry.stderr) == (0, f"Would remove {expected}.\n")
    assert ids(database) == [1, 2, 3, 4]
    assert pruning_audit_details(database) == []
    done = run(tmp_path, "db", "prune")
    assert (done.returncode, done.stderr, done.stdout) == (0, f"Removed {expected}.\n", "")
    assert ids(database) == [2, 3, 4]
    assert ids(database, "quarantine") == [2]
    assert query_rows(database, "SELECT count(*) FROM key_minute") == [(minutes[0][0] - 1,)]
    assert is_consistent(database)
    assert pruning_audit_details(database) == [f"command line: {expected}"]
    again = run(tmp_path, "db", "prune")
    assert (again.returncode, again.stderr) == (0, "Removed nothing.\n")
    assert len(pruning_audit_details(database)) == 1
    assert run(tmp_path, "db", "check").returncode == 0


def test_a_command_without_a_database_is_one_sentence(tmp_path: Path) -> None:
    ended = run(tmp_path, "db", "prune")
    assert ended.returncode == 1
    assert ended.stderr == "deckwatch: There is no database deckwatch.db.\n".replace(
        "deckwatch.db", str(tmp_path / "deckwatch.db")
    )
    assert list(tmp_path.iterdir()) == []


def test_the_alert_that_an_open_one_was_seen_before_as_stays_and_goes_with_it(
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
    assert admin.ask("GET", "/api/v1/alerts/3").status_code == 200
    assert is_consistent(database)


def test_an_exclusion_outlives_the_alert_it_was_made_from_and_what_it_hid_goes_by_age(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
    admin: Admin,
) -> None:
    agent.send_events(exec_event())
    made = admin.ask("POST", "/api/v1/exclusions", create_exclusion(admin, clock))
    assert made.status_code == 201, made.text
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
    assert admin.ask("GET", "/api/v1/exclusions/1").status_code == 200


def create_exclusion(admin: Admin, clock: FakeClock) -> dict[str, Any]:
    alert = admin.ask("GET", "/api/v1/alerts/1").json()
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


def test_an_alert_too_large_for_one_piece_goes_in_several_and_is_whole_in_between(
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
    pieces: list[int] = []

    def between(went: DeletedCounts) -> None:
        pieces.append(went.matches)
        assert is_consistent(database)
        assert admin.ask("GET", "/api/v1/alerts/1").status_code == (404 if went.alerts else 200)

    assert prune(database, clock, settings, on_progress=between) == DeletedCounts(
        alerts=1, matches=100
    )
    assert len(pieces) > 5
    assert pruning_audit_details(database) == ["command line: 1 closed alerts with 100 matches"]


def test_an_alert_that_is_reopened_meanwhile_keeps_what_it_still_has(
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
    reopened: list[DeletedCounts] = []

    def between(went: DeletedCounts) -> None:
        if not reopened:
            reopened.append(went)
            close(1, status="open")

    went = prune(database, clock, settings, on_progress=between)
    assert went == reopened[0]
    assert went.alerts == 0
    kept = admin.ask("GET", "/api/v1/alerts/1").json()
    assert kept["status"] == "open"
    assert kept["match_count"] == 50 - went.matches > 0
    assert is_consistent(database)


def test_two_do_not_prune_at_once(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    settings: Settings,
) -> None:
    agent.send_events(exec_event())
    close(1)
    clock.advance(days=366)
    refused: list[str] = []

    def second(_: DeletedCounts) -> None:
        with pytest.raises(Conflict) as caught:
            prune(database, clock, settings)
        refused.append(str(caught.value))

    assert prune(database, clock, settings, on_progress=second).alerts == 1
    assert refused == ["Another process is deleting expired data; try again in a minute."]
    assert len(pruning_audit_details(database)) == 1


def test_what_a_killed_run_removed_is_told_by_the_next(
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
        went = pruning.delete_batch(session, batch)
        retention_lease.renew_lease(session, "killed", clock() + actions.LEASE_DURATION, went)
    with pytest.raises(Conflict):
        prune(database, clock, settings)
    clock.advance(minutes=2)
    assert prune(database, clock, settings) == DeletedCounts(alerts=1, matches=1)
    assert pruning_audit_details(database) == ["command line: 2 closed alerts with 2 matches"]


def test_a_size_takes_the_oldest_first_and_never_what_is_open_or_under_a_live_exclusion(
    agent: AgentClient,
    clock: FakeClock,
    close: Callable[..., None],
    database: Database,
    admin: Admin,
) -> None:
    agent.send_events(exec_event(image="shop/web"))
    made = admin.ask("POST", "/api/v1/exclusions", create_exclusion(admin, clock))
    assert made.status_code == 201, made.text
    agent.send_events(exec_event(image="shop/web", padding="x" * 200_000))
    for number in range(12):
        # Another image, so that the exclusion does not cover them.
        event = exec_event(host=f"big-{number}", image="other", padding="x" * 200_000)
        agent.send_events(event)
        clock.advance(minutes=1)
        close(number + 2)
    limit = 2 * 1024 * 1024
    settings = read_settings(database_url=str(database.engine.url), retention_max_bytes=limit)
    went = prune(database, clock, settings)
    left = ids(database)
    assert 0 < went.alerts < 12
    assert left == [1, *range(2 + went.alerts, 14)]  # the open one and the newest
    assert query_rows(database, "SELECT count(*) FROM rule_match WHERE exclusion_id = 1") == [(1,)]
    with database.read() as session:
        assert not retention.exceeds_max_size(session, actions.retention_limits(settings, clock()))
    assert is_consistent(database)


def test_a_size_that_cannot_be_reached_is_said(
    agent: AgentClient, database: Database, tmp_path: Path
) -> None:
    agent.send_events(exec_event(padding="x" * 1_500_000))
    ended = run(tmp_path, "db", "prune", RETENTION_MAX_BYTES=str(1024 * 1024))
    assert ended.returncode == 1
    assert "nothing more may go" in ended.stderr
    assert ids(database) == [1]


def test_a_running_server_prunes_by_itself_and_says_so_in_the_audit_log(
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
    assert admin.ask("GET", "/api/v1/alerts/1").status_code == 404


def test_a_locked_database_ends_a_run_and_the_next_goes_on(
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
        ended = run(tmp_path, "db", "prune")
        other.execute("ROLLBACK")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "The database is busy" in ended.stderr
    assert prune(database, clock, settings).alerts == 1
