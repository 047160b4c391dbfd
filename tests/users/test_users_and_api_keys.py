"""Users page, API keys and the audit log: invitations, roles, creation and revocation."""

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


class TestUsers:
    def test_an_invited_user_sets_a_password_with_a_link_that_works_once(
        self, app: FastAPI, admin: UserClient
    ) -> None:
        page = admin.post("/users", {"name": "cleo", "role": "analyst"})
        assert page.status_code == 201
        link = re.search(r"http://127\.0\.0\.1:8000(/setup/[\w-]+)", page.text)
        assert link is not None
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        form = client.get(link[1]).text
        fields = {
            "csrf": token_of(form),
            "name": "mallory",
            "password": PASSWORD,
            "again": PASSWORD,
        }
        assert client.post(link[1], data=fields).status_code == 303
        assert "cleo" in client.get("/account").text
        assert client.get(link[1]).status_code == 404
        client.cookies.clear()
        assert login(client, "cleo", PASSWORD).status_code == 303

    def test_user_names_are_unique_regardless_of_case(self, admin: UserClient) -> None:
        admin.post("/users", {"name": "cleo", "role": "analyst"})
        response = admin.post("/users", {"name": "CLEO", "role": "analyst"})
        assert response.status_code == 422
        assert "already exists" in response.text

    def test_the_only_admin_cannot_be_demoted_or_disabled(
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

    def test_a_sign_in_link_works_once(
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
    def test_a_key_is_shown_once_and_works_until_revoked(
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

    def test_a_key_revoked_by_another_process_is_refused_soon(
        self, agent: AgentClient, database: Database, clock: FakeClock
    ) -> None:
        assert agent.send_events(exec_event())["matched"] == 1
        api_keys.revoke(database, "fleet", principal=CLI_PRINCIPAL, at=clock())
        wait_until(lambda: agent.send(exec_event()).status_code == 401, "the key is refused")

    def test_a_key_revoked_during_its_lookup_is_not_cached(
        self, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, text = api_keys.create(database, "edge", Role.AGENT, principal=CLI_PRINCIPAL, at=clock())
        cache = ApiKeyCache(database)

        def revoked_meanwhile(session: Session, key_hash: str) -> ApiKey | None:
            key = get_by_hash(session, key_hash)
            api_keys.revoke(database, "edge", principal=CLI_PRINCIPAL, at=clock())
            cache.refresh()
            return key

        monkeypatch.setattr("app.store.api_keys.get_by_hash", revoked_meanwhile)
        assert cache.look_up(text) is not None
        assert cache.get_cached(text) is None

    def test_the_cache_is_empty_while_revocations_cannot_be_read(
        self, database: Database, clock: FakeClock
    ) -> None:
        _, text = api_keys.create(database, "edge", Role.AGENT, principal=CLI_PRINCIPAL, at=clock())
        cache = ApiKeyCache(database)
        assert cache.look_up(text) == cache.get_cached(text) is not None
        with database.write() as session:
            session.connection().exec_driver_sql("ALTER TABLE revision RENAME TO gone")
        with pytest.raises(Unavailable):
            cache.refresh()
        assert cache.get_cached(text) is None

    def test_the_name_of_a_revoked_key_cannot_be_reused(self, admin: UserClient) -> None:
        admin.post("/agents/keys", {"name": "edge", "role": "agent"})
        admin.post("/agents/keys/1/revoke")
        response = admin.post("/agents/keys", {"name": "edge", "role": "agent"})
        assert response.status_code == 422
        assert "names are not reused" in response.text

    def test_the_agents_page_counts_events_matches_and_rejections(
        self, agent: AgentClient, admin: UserClient, clock: FakeClock
    ) -> None:
        agent.send_events([exec_event(), {"no": "event"}])
        row = admin.get("/agents").text
        row = row[row.index("fleet") :][:1500]
        numbers = re.findall(r'class="dw-numeric">([\d,]+)<', row)
        assert numbers[:3] == ["2", "1", "1"]
        assert "1 event in quarantine" in row
        clock.advance(minutes=16)
        assert "silent" in admin.get("/agents").text

    def test_quarantined_bytes_are_downloaded_unchanged(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        agent.send_events(b'{"a":"\xff<script>"}')
        page = admin.get("/agents").text
        assert "not UTF-8 at byte 6" in page
        assert "\\xff" in page
        assert "<script>" not in page.replace('<script src="', "")
        response = admin.get("/quarantine/1/event.bin")
        assert response.content == b'{"a":"\xff<script>"}'
        assert "attachment" in response.headers["content-disposition"]


def test_the_audit_log_records_sign_ins_and_changes(admin: UserClient, app: FastAPI) -> None:
    admin.post("/agents/keys", {"name": "edge", "role": "agent"})
    login(TestClient(app, base_url=ORIGIN), "ada", "wrong")
    page = admin.get("/audit").text
    for action in ("session.opened", "session.refused", "key.created", "user.created"):
        assert action in page
    assert "key.created" not in admin.get("/audit?who=command+line").text
