"""People and keys: invited, demoted, made, revoked; and what the audit log tells of it."""

import re
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.actions import accounts, keys
from app.actions.keyring import Keyring
from app.domain.errors import Conflict, Unavailable
from app.domain.roles import COMMAND_LINE, Role
from app.store.database import Database, Session
from app.store.keys import by_hash
from app.store.people import Purpose
from app.store.tables import Key
from tests.conftest import ORIGIN, PASSWORD, Agent, Clock, Person
from tests.factories import exec_event
from tests.processes import until
from tests.test_sign_in import login, token_of


class TestPeople:
    def test_an_invited_person_chooses_a_password_by_a_link_that_works_once(
        self, app: FastAPI, admin: Person
    ) -> None:
        page = admin.post("/users", {"name": "cleo", "role": "analyst"})
        assert page.status_code == 201
        found = re.search(r"http://127\.0\.0\.1:8000(/setup/[\w-]+)", page.text)
        assert found is not None
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        form = client.get(found[1]).text
        fields = {
            "csrf": token_of(form),
            "name": "mallory",
            "password": PASSWORD,
            "again": PASSWORD,
        }
        assert client.post(found[1], data=fields).status_code == 303
        assert "cleo" in client.get("/account").text
        assert client.get(found[1]).status_code == 404
        client.cookies.clear()
        assert login(client, "cleo", PASSWORD).status_code == 303

    def test_a_name_is_given_once(self, admin: Person) -> None:
        admin.post("/users", {"name": "cleo", "role": "analyst"})
        answer = admin.post("/users", {"name": "CLEO", "role": "analyst"})
        assert answer.status_code == 422
        assert "exists already" in answer.text

    def test_the_only_admin_stays_one(
        self,
        admin: Person,
        database: Database,
        sign_in: Callable[[str, Role], Person],
        clock: Clock,
    ) -> None:
        other = sign_in("bea", Role.ADMIN)
        admin.post("/users/2/disable")
        with pytest.raises(Conflict, match="only admin"):
            accounts.set_role(database, 1, Role.ANALYST, who=COMMAND_LINE, at=clock())
        with pytest.raises(Conflict, match="only admin"):
            accounts.set_disabled(database, 1, True, who=COMMAND_LINE, at=clock())
        assert admin.get("/users").status_code == 200
        assert other.get("/users").status_code == 303

    def test_an_entry_link_signs_in_once(
        self, anonymous: TestClient, database: Database, admin: Person, clock: Clock
    ) -> None:
        token = accounts.make_link(database, Purpose.ENTER, user_id=1, who=COMMAND_LINE, at=clock())
        assert anonymous.get(f"/setup/{token}").headers["location"] == "/alerts"
        assert anonymous.get("/alerts").status_code == 200
        anonymous.cookies.clear()
        assert anonymous.get(f"/setup/{token}").status_code == 404


class TestKeys:
    def test_a_key_is_shown_once_and_works_until_it_is_revoked(
        self, admin: Person, anonymous: TestClient
    ) -> None:
        page = admin.post("/agents/keys", {"name": "edge", "role": "agent"})
        assert page.status_code == 201
        key = re.search(r"dw_[\w-]{43}", page.text)
        assert key is not None
        assert key[0] not in admin.get("/agents").text
        sender = Agent(anonymous, key[0])
        assert sender.receipt(exec_event())["matched"] == 1
        admin.post("/agents/keys/1/revoke")
        assert sender.send(exec_event()).status_code == 401
        assert "revoked" in admin.get("/agents").text

    def test_a_key_that_another_process_revokes_is_refused_soon(
        self, agent: Agent, database: Database, clock: Clock
    ) -> None:
        assert agent.receipt(exec_event())["matched"] == 1
        keys.revoke(database, "fleet", who=COMMAND_LINE, at=clock())
        until(lambda: agent.send(exec_event()).status_code == 401, "the key is refused")

    def test_a_key_revoked_while_it_is_looked_up_is_not_kept(
        self, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, text = keys.create(database, "edge", Role.AGENT, who=COMMAND_LINE, at=clock())
        ring = Keyring(database)

        def revoked_meanwhile(session: Session, key_hash: str) -> Key | None:
            found = by_hash(session, key_hash)
            keys.revoke(database, "edge", who=COMMAND_LINE, at=clock())
            ring.refresh()
            return found

        monkeypatch.setattr("app.store.keys.by_hash", revoked_meanwhile)
        assert ring.holder(text) is not None
        assert ring.known(text) is None

    def test_no_key_is_known_while_nobody_can_tell_which_are_revoked(
        self, database: Database, clock: Clock
    ) -> None:
        _, text = keys.create(database, "edge", Role.AGENT, who=COMMAND_LINE, at=clock())
        ring = Keyring(database)
        assert ring.holder(text) == ring.known(text) is not None
        with database.write() as session:
            session.connection().exec_driver_sql("ALTER TABLE revision RENAME TO gone")
        with pytest.raises(Unavailable):
            ring.refresh()
        assert ring.known(text) is None

    def test_a_revoked_keys_name_is_not_given_again(self, admin: Person) -> None:
        admin.post("/agents/keys", {"name": "edge", "role": "agent"})
        admin.post("/agents/keys/1/revoke")
        answer = admin.post("/agents/keys", {"name": "edge", "role": "agent"})
        assert answer.status_code == 422
        assert "stays in the records" in answer.text

    def test_the_page_shows_what_a_key_sent(
        self, agent: Agent, admin: Person, clock: Clock
    ) -> None:
        agent.receipt([exec_event(), {"no": "event"}])
        row = admin.get("/agents").text
        row = row[row.index("fleet") :][:1500]
        numbers = re.findall(r'class="dw-number">([\d,]+)<', row)
        assert numbers[:3] == ["2", "1", "1"]
        assert "1 in quarantine" in row
        clock.forward(minutes=16)
        assert "silent" in admin.get("/agents").text

    def test_quarantined_bytes_are_handed_out_as_they_came(
        self, agent: Agent, admin: Person
    ) -> None:
        agent.receipt(b'{"a":"\xff<script>"}')
        page = admin.get("/agents").text
        assert "not UTF-8 at byte 6" in page
        assert "\\xff" in page
        assert "<script>" not in page.replace('<script src="', "")
        answer = admin.get("/quarantine/1/event.bin")
        assert answer.content == b'{"a":"\xff<script>"}'
        assert "attachment" in answer.headers["content-disposition"]


def test_the_audit_log_tells_who_came_and_what_they_changed(admin: Person, app: FastAPI) -> None:
    admin.post("/agents/keys", {"name": "edge", "role": "agent"})
    login(TestClient(app, base_url=ORIGIN), "ada", "wrong")
    page = admin.get("/audit").text
    for told in ("session.opened", "session.refused", "key.created", "user.created"):
        assert told in page
    assert "key.created" not in admin.get("/audit?who=command+line").text
