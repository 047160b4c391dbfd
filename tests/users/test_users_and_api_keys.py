"""People and keys: invited, demoted, made, revoked; and what the audit log tells of it."""

import re
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.actions import api_keys, users
from app.domain.errors import Conflict, Unavailable
from app.domain.principal import CLI_PRINCIPAL, Role
from app.store.api_keys import get_by_hash
from app.store.database import Database, Session
from app.store.tables import ApiKey
from app.store.users import LinkPurpose
from app.web.api_key_cache import ApiKeyCache
from tests.access.test_sign_in import login, token_of
from tests.conftest import ORIGIN, PASSWORD, AgentClient, FakeClock, UserClient
from tests.factories import exec_event
from tests.processes import wait_until


class TestPeople:
    def test_an_invited_person_chooses_a_password_by_a_link_that_works_once(
        self, app: FastAPI, admin: UserClient
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

    def test_a_name_is_given_once(self, admin: UserClient) -> None:
        admin.post("/users", {"name": "cleo", "role": "analyst"})
        answer = admin.post("/users", {"name": "CLEO", "role": "analyst"})
        assert answer.status_code == 422
        assert "already exists" in answer.text

    def test_the_only_admin_stays_one(
        self,
        admin: UserClient,
        database: Database,
        sign_in: Callable[[str, Role], UserClient],
        clock: FakeClock,
    ) -> None:
        other = sign_in("bea", Role.ADMIN)
        admin.post("/users/2/disable")
        with pytest.raises(Conflict, match="only admin"):
            users.set_role(database, 1, Role.ANALYST, principal=CLI_PRINCIPAL, at=clock())
        with pytest.raises(Conflict, match="only admin"):
            users.set_disabled(database, 1, True, principal=CLI_PRINCIPAL, at=clock())
        assert admin.get("/users").status_code == 200
        assert other.get("/users").status_code == 303

    def test_an_entry_link_signs_in_once(
        self, anonymous: TestClient, database: Database, admin: UserClient, clock: FakeClock
    ) -> None:
        token = users.create_link(
            database, LinkPurpose.SIGN_IN, user_id=1, principal=CLI_PRINCIPAL, at=clock()
        )
        assert anonymous.get(f"/setup/{token}").headers["location"] == "/alerts"
        assert anonymous.get("/alerts").status_code == 200
        anonymous.cookies.clear()
        assert anonymous.get(f"/setup/{token}").status_code == 404


class TestKeys:
    def test_a_key_is_shown_once_and_works_until_it_is_revoked(
        self, admin: UserClient, anonymous: TestClient
    ) -> None:
        page = admin.post("/agents/keys", {"name": "edge", "role": "agent"})
        assert page.status_code == 201
        key = re.search(r"dw_[\w-]{43}", page.text)
        assert key is not None
        assert key[0] not in admin.get("/agents").text
        sender = AgentClient(anonymous, key[0])
        assert sender.send_events(exec_event())["matched"] == 1
        admin.post("/agents/keys/1/revoke")
        assert sender.send(exec_event()).status_code == 401
        assert "revoked" in admin.get("/agents").text

    def test_a_key_that_another_process_revokes_is_refused_soon(
        self, agent: AgentClient, database: Database, clock: FakeClock
    ) -> None:
        assert agent.send_events(exec_event())["matched"] == 1
        api_keys.revoke(database, "fleet", principal=CLI_PRINCIPAL, at=clock())
        wait_until(lambda: agent.send(exec_event()).status_code == 401, "the key is refused")

    def test_a_key_revoked_while_it_is_looked_up_is_not_kept(
        self, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, text = api_keys.create(database, "edge", Role.AGENT, principal=CLI_PRINCIPAL, at=clock())
        ring = ApiKeyCache(database)

        def revoked_meanwhile(session: Session, key_hash: str) -> ApiKey | None:
            found = get_by_hash(session, key_hash)
            api_keys.revoke(database, "edge", principal=CLI_PRINCIPAL, at=clock())
            ring.refresh()
            return found

        monkeypatch.setattr("app.store.api_keys.get_by_hash", revoked_meanwhile)
        assert ring.look_up(text) is not None
        assert ring.get_cached(text) is None

    def test_no_key_is_known_while_nobody_can_tell_which_are_revoked(
        self, database: Database, clock: FakeClock
    ) -> None:
        _, text = api_keys.create(database, "edge", Role.AGENT, principal=CLI_PRINCIPAL, at=clock())
        ring = ApiKeyCache(database)
        assert ring.look_up(text) == ring.get_cached(text) is not None
        with database.write() as session:
            session.connection().exec_driver_sql("ALTER TABLE revision RENAME TO gone")
        with pytest.raises(Unavailable):
            ring.refresh()
        assert ring.get_cached(text) is None

    def test_a_revoked_keys_name_is_not_given_again(self, admin: UserClient) -> None:
        admin.post("/agents/keys", {"name": "edge", "role": "agent"})
        admin.post("/agents/keys/1/revoke")
        answer = admin.post("/agents/keys", {"name": "edge", "role": "agent"})
        assert answer.status_code == 422
        assert "names are not reused" in answer.text

    def test_the_page_shows_what_a_key_sent(
        self, agent: AgentClient, admin: UserClient, clock: FakeClock
    ) -> None:
        agent.send_events([exec_event(), {"no": "event"}])
        row = admin.get("/agents").text
        row = row[row.index("fleet") :][:1500]
        numbers = re.findall(r'class="dw-numeric">([\d,]+)<', row)
        assert numbers[:3] == ["2", "1", "1"]
        assert "1 in quarantine" in row
        clock.advance(minutes=16)
        assert "silent" in admin.get("/agents").text

    def test_quarantined_bytes_are_handed_out_as_they_came(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        agent.send_events(b'{"a":"\xff<script>"}')
        page = admin.get("/agents").text
        assert "not UTF-8 at byte 6" in page
        assert "\\xff" in page
        assert "<script>" not in page.replace('<script src="', "")
        answer = admin.get("/quarantine/1/event.bin")
        assert answer.content == b'{"a":"\xff<script>"}'
        assert "attachment" in answer.headers["content-disposition"]


def test_the_audit_log_tells_who_came_and_what_they_changed(
    admin: UserClient, app: FastAPI
) -> None:
    admin.post("/agents/keys", {"name": "edge", "role": "agent"})
    login(TestClient(app, base_url=ORIGIN), "ada", "wrong")
    page = admin.get("/audit").text
    for told in ("session.opened", "session.refused", "key.created", "user.created"):
        assert told in page
    assert "key.created" not in admin.get("/audit?who=command+line").text
