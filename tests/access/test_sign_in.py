"""Getting in and staying in: the first admin, sign-in, sessions, limits, one-time links, people, keys."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.actions import users
from app.bootstrap import create_first_admin_link
from app.domain.principal import CLI_PRINCIPAL, Role
from app.settings import Settings, read_settings
from app.store.database import Database
from tests.conftest import ORIGIN, PASSWORD, FakeClock, UserClient


def token_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def login(client: TestClient, name: str, password: str, **more: str) -> Any:
    token = token_of(client.get("/login").text)
    fields = {"csrf": token, "name": name, "password": password, "next": "", **more}
    return client.post("/login", data=fields)


@pytest.fixture
def link(database: Database, settings: Settings, clock: FakeClock) -> str:
    found = create_first_admin_link(database, settings, at=clock())
    assert found is not None
    return found.removeprefix(ORIGIN)


class TestFirstAdmin:
    def finish(self, client: TestClient, link: str, **changes: str) -> Any:
        token = token_of(client.get(link).text)
        fields = {"csrf": token, "name": "ada", "password": PASSWORD, "again": PASSWORD}
        return client.post(link, data=fields | changes)

    def test_the_link_makes_the_first_admin_and_signs_in(
        self, anonymous: TestClient, link: str
    ) -> None:
        answer = self.finish(anonymous, link)
        assert answer.headers["location"] == "/alerts"
        assert anonymous.get("/users").status_code == 200

    def test_the_link_works_once(self, anonymous: TestClient, app: FastAPI, link: str) -> None:
        self.finish(anonymous, link)
        other = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        answer = other.get(link)
        assert answer.status_code == 404
        assert "has been used" in answer.text

    def test_there_is_no_link_once_there_is_an_admin(
        self,
        anonymous: TestClient,
        link: str,
        database: Database,
        settings: Settings,
        clock: FakeClock,
    ) -> None:
        self.finish(anonymous, link)
        assert create_first_admin_link(database, settings, at=clock()) is None

    def test_a_later_start_replaces_the_link(
        self,
        anonymous: TestClient,
        link: str,
        database: Database,
        settings: Settings,
        clock: FakeClock,
    ) -> None:
        create_first_admin_link(database, settings, at=clock())
        assert anonymous.get(link).status_code == 404

    def test_the_link_expires(self, anonymous: TestClient, link: str, clock: FakeClock) -> None:
        clock.advance(days=7)
        assert anonymous.get(link).status_code == 404

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"name": ""}, "Enter a name."),
            ({"name": "a b"}, "Use only letters, digits"),
            ({"name": "<b>x"}, "Use only letters, digits"),
            ({"name": "a" * 65}, "At most 64"),
            ({"password": "short", "again": "short"}, "At least 12"),
            ({"password": "aaaaaaaaaaaaaa", "again": "aaaaaaaaaaaaaa"}, "Too easy"),
            ({"password": "ada ada ada ada", "again": "ada ada ada ada"}, "Too easy"),
            ({"again": "something else entirely"}, "do not match"),
            ({"password": "x" * 1001, "again": "x" * 1001}, "At most 1000"),
        ],
    )
    def test_a_mistake_is_named_and_does_not_use_up_the_link(
        self, anonymous: TestClient, link: str, changes: dict[str, str], words: str
    ) -> None:
        answer = self.finish(anonymous, link, **changes)
        assert answer.status_code == 422
        assert words in answer.text
        assert self.finish(anonymous, link).status_code == 303


class TestSignIn:
    def test_wrong_name_and_wrong_password_get_the_same_answer(
        self, app: FastAPI, analyst: UserClient
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        told = []
        for name, password in (("ana", "wrong"), ("ghost", PASSWORD), ("ANA", ""), ("", "")):
            answer = login(client, name, password)
            assert answer.status_code == 403
            told.append("Name or password is incorrect." in answer.text)
        assert all(told)

    def test_names_are_the_same_in_upper_and_lower_case(
        self, app: FastAPI, analyst: UserClient
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        assert login(client, " ANA ", PASSWORD).status_code == 303

    @pytest.mark.parametrize(
        ("wanted", "location"),
        [
            ("/alerts?status=closed", "/alerts?status=closed"),
            ("https://evil.example/", "/alerts"),
            ("//evil.example/", "/alerts"),
            ("/\\evil.example", "/alerts"),
            ("javascript:alert(1)", "/alerts"),
            ("/a\r\nSet-Cookie: x=y", "/alerts"),
        ],
    )
    def test_signing_in_leads_back_but_never_elsewhere(
        self, app: FastAPI, analyst: UserClient, wanted: str, location: str
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        assert login(client, "ana", PASSWORD, next=wanted).headers["location"] == location

    def test_a_login_form_of_another_browser_is_refused(
        self, app: FastAPI, analyst: UserClient
    ) -> None:
        one, other = (TestClient(app, base_url=ORIGIN, follow_redirects=False) for _ in range(2))
        other.get("/login")
        fields = {"name": "ana", "password": PASSWORD, "csrf": token_of(one.get("/login").text)}
        assert other.post("/login", data=fields).status_code == 403

    def test_guessing_is_slowed_down_and_knowing_is_not(
        self, app: FastAPI, analyst: UserClient, admin: UserClient
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        for _ in range(5):
            assert login(client, "ana", "wrong").status_code == 403
        answer = login(client, "ana", PASSWORD)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert login(client, "ada", PASSWORD).status_code == 303

    def test_the_cookie_is_kept_from_scripts_and_from_other_sites(
        self, app: FastAPI, analyst: UserClient
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        cookie = login(client, "ana", PASSWORD).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie

    def test_without_javascript_a_page_asks_to_sign_in_and_leads_back(
        self, anonymous: TestClient
    ) -> None:
        answer = anonymous.get("/alerts?status=closed&q=a%26b")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/login?next=%2Falerts%3Fstatus%3Dclosed%26q%3Da%2526b"

    def test_htmx_is_told_to_go_to_the_sign_in_page(self, anonymous: TestClient) -> None:
        answer = anonymous.get("/alerts", headers={"HX-Request": "true"})
        assert answer.status_code == 401
        assert answer.headers["hx-redirect"].startswith("/login?next=")


class TestHttps:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return read_settings(
            database_url=settings.database_url, base_url="https://deckwatch.example"
        )

    def test_behind_https_cookies_are_bound_to_the_host(
        self, app: FastAPI, database: Database, clock: FakeClock
    ) -> None:
        users.create_user(
            database, "ana", Role.ANALYST, password=PASSWORD, principal=CLI_PRINCIPAL, at=clock()
        )
        client = TestClient(app, base_url="https://deckwatch.example", follow_redirects=False)
        cookies = login(client, "ana", PASSWORD).headers.get_list("set-cookie")
        (session,) = (c for c in cookies if c.startswith("__Host-deckwatch="))
        assert "Secure" in session
        assert "max-age=31536000" in client.get("/login").headers["strict-transport-security"]


class TestSessions:
    def test_signing_out_ends_the_session_on_the_server(self, analyst: UserClient) -> None:
        kept = dict(analyst.client.cookies)
        analyst.post("/logout")
        analyst.client.cookies.update(kept)
        assert analyst.get("/alerts").status_code == 303

    def test_a_session_ends_when_it_is_not_used(
        self, analyst: UserClient, clock: FakeClock
    ) -> None:
        clock.advance(hours=11)
        assert analyst.get("/alerts").status_code == 200
        clock.advance(hours=11)
        assert analyst.get("/alerts").status_code == 200
        clock.advance(hours=12)
        assert analyst.get("/alerts").status_code == 303

    def test_a_session_ends_after_a_week_however_much_it_is_used(
        self, analyst: UserClient, clock: FakeClock
    ) -> None:
        for _ in range(27):
            clock.advance(hours=6)
            assert analyst.get("/alerts").status_code == 200
        clock.advance(hours=6)
        assert analyst.get("/alerts").status_code == 303

    def test_changing_the_password_ends_the_other_sessions(
        self, app: FastAPI, analyst: UserClient
    ) -> None:
        other = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        login(other, "ana", PASSWORD)
        new = "quite another phrase"
        wrong = analyst.post("/account/password", {"current": "no", "password": new, "again": new})
        assert wrong.status_code == 422
        analyst.post("/account/password", {"current": PASSWORD, "password": new, "again": new})
        assert other.get("/alerts").status_code == 303
        assert analyst.get("/alerts").status_code == 200
        assert login(other, "ana", PASSWORD).status_code == 403
        assert login(other, "ana", new).status_code == 303

    def test_demotion_and_disabling_work_at_once(
        self, admin: UserClient, sign_in: Callable[[str, Role], UserClient]
    ) -> None:
        other = sign_in("bea", Role.ADMIN)
        assert other.get("/users").status_code == 200
        admin.post("/users/2/role", {"role": "analyst"})
        assert other.get("/users").status_code == 403
        admin.post("/users/2/disable")
        assert other.get("/alerts").status_code == 303
        assert login(other.client, "bea", PASSWORD).status_code == 403
        admin.post("/users/2/enable")
        assert login(other.client, "bea", PASSWORD).status_code == 303


@pytest.mark.parametrize(("theme", "status"), [("dark", 303), ("light", 303), ("pink", 422)])
def test_the_theme_is_kept(analyst: UserClient, theme: str, status: int) -> None:
    assert analyst.post("/theme", {"theme": theme, "next": "/rules"}).status_code == status
    wanted = theme if status == 303 else "auto"
    assert f'data-theme="{wanted}"' in analyst.get("/rules").text
