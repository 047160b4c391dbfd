"""The database: durability, transactions, times, constraints, migrations and the audit chain."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import select

from app.domain.errors import FatalError
from app.store import audit, change_counters, schema, tables
from app.store.database import Database
from app.store.tables import Alert, ApiKey, AuditEntry, User

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def make_user(**more: Any) -> User:
    columns: dict[str, Any] = {
        "name": "ada",
        "name_folded": "ada",
        "role": "admin",
        "password_hash": None,
        "created_at": NOW,
        "disabled_at": None,
        "last_login_at": None,
    }
    return User(**columns | more)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("trusted_schema", 0)],
)
def test_every_connection_is_durable_and_strict(
    database: Database, pragma: str, value: object
) -> None:
    with database.read() as first, database.read() as second:
        for session in (first, second):
            assert session.connection().execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_a_writing_transaction_takes_the_lock_when_it_begins(database: Database) -> None:
    """Otherwise a writer of a second process would fail at its first write, instead of waiting."""
    other = Database(str(database.engine.url))
    began = threading.Event()
    order: list[str] = []

    def write_second() -> None:
        began.set()
        with other.write():
            order.append("second")

    with database.write():
        thread = threading.Thread(target=write_second)
        thread.start()
        began.wait(5)
        order.append("first")
    thread.join(10)
    other.close()
    assert order == ["first", "second"]


def test_a_write_block_that_raises_writes_nothing(database: Database) -> None:
    def write_and_fail() -> None:
        with database.write() as session:
            session.add(make_user())
            session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        write_and_fail()
    with database.read() as session:
        assert session.exec(select(User)).all() == []


def test_commit_listeners_get_the_counters_that_a_committed_transaction_incremented(
    database: Database,
) -> None:
    calls: list[dict[str, int]] = []
    database.on_commit(lambda counters: calls.append(dict(counters)))

    def increment_and_fail() -> None:
        with database.write() as session:
            change_counters.bump(session, change_counters.ALERTS)
            raise RuntimeError

    with database.write() as session:
        change_counters.bump(session, change_counters.ALERTS)
        change_counters.bump(session, change_counters.KEYS)
        assert calls == [], "called before the commit"
    with pytest.raises(RuntimeError):
        increment_and_fail()
    with database.write() as session:
        change_counters.bump(session, change_counters.ALERTS)
    with database.write():
        pass
    assert calls == [{"alerts": 1, "keys": 1}, {"alerts": 2}]


def test_a_failing_commit_listener_is_logged_and_does_not_fail_the_write(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[dict[str, int]] = []

    def fail(_: object) -> None:
        raise RuntimeError("listener error")

    database.on_commit(fail)
    database.on_commit(lambda counters: calls.append(dict(counters)))
    with database.write() as session:
        change_counters.bump(session, change_counters.ALERTS)
    assert calls == [{"alerts": 1}]
    assert "a commit listener failed" in caplog.text


def test_times_are_returned_aware_and_in_utc(database: Database) -> None:
    local = datetime(2026, 11, 24, 14, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with database.write() as session:
        session.add(make_user(created_at=local))
    with database.read() as session:
        created_at = session.exec(select(User)).one().created_at
    assert created_at == local
    assert created_at.tzinfo is UTC


def test_a_naive_time_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="naive"), database.write() as session:
        session.add(make_user(created_at=datetime(2026, 1, 1)))  # noqa: DTZ001 (naive on purpose)


def execute_sql(database: Database, statement: str) -> None:
    with database.write() as session:
        session.connection().execute(text(statement))


INSERT_ALERT = (
    "INSERT INTO alert (rule_id, rule_name, fingerprint, status, version, severity, priority,"
    " priority_parts, first_seen, last_seen, match_count, verdict, shown_key_id, shown_event_id,"
    " headline, command_line, chips, search_text) VALUES ('r', 'r', 'f', '{status}', 1, 'low', 1,"
    " '[]', '2026-01-01', '2026-01-01', 1, {verdict}, 1, 'e', 'h', 'c', '[]', 's')"
)


class TestConstraints:
    @pytest.fixture(autouse=True)
    def _key(self, database: Database) -> None:
        with database.write() as session:
            session.add(
                ApiKey(
                    id=1,
                    name="k",
                    role="agent",
                    key_hash="h",
                    hint="x",
                    created_at=NOW,
                    created_by="x",
                    revoked_at=None,
                    revoked_by=None,
                )
            )

    def test_one_fingerprint_has_at_most_one_unclosed_alert(self, database: Database) -> None:
        closed = INSERT_ALERT.format(status="closed", verdict="'duplicate'")
        execute_sql(database, closed)
        execute_sql(database, closed)
        execute_sql(database, INSERT_ALERT.format(status="open", verdict="NULL"))
        with pytest.raises(IntegrityError):
            execute_sql(database, INSERT_ALERT.format(status="acknowledged", verdict="NULL"))
        with database.read() as session:
            assert len(session.exec(select(Alert.id)).all()) == 3

    @pytest.mark.parametrize(
        ("status", "verdict"), [("closed", "NULL"), ("open", "'duplicate'"), ("gone", "NULL")]
    )
    def test_exactly_the_closed_alerts_have_a_verdict(
        self, database: Database, status: str, verdict: str
    ) -> None:
        with pytest.raises(IntegrityError):
            execute_sql(database, INSERT_ALERT.format(status=status, verdict=verdict))

    def test_a_match_belongs_to_an_existing_alert_or_exclusion(self, database: Database) -> None:
        execute_sql(database, INSERT_ALERT.format(status="open", verdict="NULL"))
        match = (
            "INSERT INTO rule_match (rule_id, key_id, event_id, received_at, alert_id, exclusion_id,"
            " exclusion_version, event) VALUES ('r', 1, '{id}', '2026-01-01', {alert}, NULL, NULL, x'')"
        )
        execute_sql(database, match.format(id="a", alert=1))
        with pytest.raises(IntegrityError):
            execute_sql(database, match.format(id="b", alert="NULL"))
        with pytest.raises(IntegrityError):
            execute_sql(database, match.format(id="c", alert=77))


class TestMigrations:
    def test_migrations_produce_exactly_the_defined_tables(self, database: Database) -> None:
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, tables.metadata) == []

    def test_an_upgrade_leads_to_the_newest_revision(self, database: Database) -> None:
        assert schema.current_revision(database) == schema.known_revisions()[-1]
        assert schema.upgrade(database)[0] == schema.known_revisions()[-1]
        assert schema.check(database) == []

    def test_a_database_newer_than_the_program_is_refused(self, database: Database) -> None:
        execute_sql(database, "UPDATE alembic_version SET version_num = '9999'")
        for function in (schema.upgrade, schema.check):
            with pytest.raises(FatalError, match="newer than this Deckwatch"):
                function(database)

    def test_programs_that_start_at_the_same_time_migrate_once(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'new.db'}"
        problems: list[BaseException] = []

        def start() -> None:
            own = Database(url)
            try:
                schema.upgrade(own)
            except BaseException as error:
                problems.append(error)
            finally:
                own.close()

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert problems == []

    def test_the_error_for_a_file_that_is_no_database_names_it(self, tmp_path: Path) -> None:
        path = tmp_path / "other.db"
        path.write_bytes(b"this is not a database, but long enough to be one" * 50)
        with pytest.raises(FatalError, match="not a database") as caught:
            schema.upgrade(Database(f"sqlite:///{path}"))
        assert "other.db" in str(caught.value)

    def test_the_error_for_a_missing_folder_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(FatalError, match=r"the folder .*nowhere does not exist"):
            schema.upgrade(Database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}"))


class TestAuditChain:
    @pytest.fixture(autouse=True)
    def _entries(self, database: Database) -> None:
        for number in range(5):
            with database.write() as session:
                audit.record(
                    session, at=NOW, actor="ada", action="key.created", subject=f"key {number}"
                )

    def first_invalid(self, database: Database) -> int | None:
        with database.read() as session:
            return audit.first_invalid_entry(session)

    def test_an_unchanged_log_is_valid(self, database: Database) -> None:
        assert self.first_invalid(database) is None

    @pytest.mark.parametrize(
        ("tampering", "entry"),
        [
            ("UPDATE audit_entry SET actor = 'ana' WHERE id = 3", 3),
            ("UPDATE audit_entry SET at = '2026-11-23 12:00:00.000000' WHERE id = 2", 2),
            ("DELETE FROM audit_entry WHERE id = 3", 4),
            ("DELETE FROM audit_entry WHERE id = 1", 2),
            ("UPDATE audit_entry SET detail = 'x' WHERE id = 5", 5),
        ],
    )
    def test_a_changed_or_deleted_entry_is_detected(
        self, database: Database, tampering: str, entry: int
    ) -> None:
        execute_sql(database, tampering)
        assert self.first_invalid(database) == entry

    def test_entries_of_concurrent_transactions_form_one_chain(self, database: Database) -> None:
        def write() -> None:
            for _ in range(10):
                with database.write() as session:
                    audit.record(session, at=NOW, actor="x", action="a", subject="s")

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert self.first_invalid(database) is None
        with database.read() as session:
            assert len(session.exec(select(AuditEntry.id)).all()) == 45
