"""Migration of databases of every earlier revision, without loss of data.

`databases/REVISION.sql` is a dump by Python's sqlite3 of a database with a row in every table. With each
new migration, add the dump of the revision before it.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from starlette.testclient import TestClient

from app.actions import api_keys
from app.bootstrap import open_migrated_database
from app.domain.principal import CLI_PRINCIPAL, Role
from app.main import create_app
from app.settings import read_settings
from app.store import audit, schema
from tests.conftest import ORIGIN

DUMPS = Path(__file__).parent.parent / "databases"
PAST_REVISIONS = schema.known_revisions()[:-1]

Rows: TypeAlias = dict[str, list[dict[str, Any]]]


def read_rows(file: Path) -> Rows:
    """Return every row of every table except Alembic's."""
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]  # noqa: S608
            for (name,) in names
            if name != "alembic_version"
        }


@pytest.fixture
def restore_dump(tmp_path: Path) -> Callable[[str], Path]:
    def restore(revision: str) -> Path:
        file = tmp_path / "deckwatch.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript((DUMPS / f"{revision}.sql").read_text())
        return file

    return restore


@pytest.mark.parametrize("revision", PAST_REVISIONS)
def test_every_earlier_revision_has_a_dump_with_a_row_in_every_table(
    restore_dump: Callable[[str], Path], revision: str
) -> None:
    file = restore_dump(revision)
    assert [name for name, rows in read_rows(file).items() if not rows] == []
    settings = read_settings(database_url=f"sqlite:///{file}")
    messages: list[str] = []
    open_migrated_database(settings, on_migrated=messages.append).close()
    newest = schema.known_revisions()[-1]
    assert messages == [f"Migrated the database from revision {revision} to {newest}."]


@pytest.mark.parametrize("revision", PAST_REVISIONS)
def test_a_migrated_database_keeps_its_data_and_works(
    restore_dump: Callable[[str], Path], revision: str
) -> None:
    file = restore_dump(revision)
    before = read_rows(file)
    settings = read_settings(database_url=f"sqlite:///{file}")
    database = open_migrated_database(settings, on_migrated=lambda _: None)
    after = read_rows(file)
    for table, rows in before.items():
        # Migrations may add columns.
        assert [{name: row[name] for name in rows[0]} for row in after[table]] == rows, table
    assert schema.check(database) == []
    with database.read() as session:
        assert audit.first_invalid_entry(session) is None
    at = datetime(2026, 11, 24, 13, tzinfo=UTC)
    _, key = api_keys.create(database, "reader", Role.ANALYST, principal=CLI_PRINCIPAL, at=at)
    database.close()
    with TestClient(create_app(settings, clock=lambda: at), base_url=ORIGIN) as client:
        response = client.get(
            "/api/v1/alerts?status=all", headers={"Authorization": f"Bearer {key}"}
        )
    assert len(response.json()["alerts"]) == len(before["alert"])
