"""Authentication: the link for the first admin, sign-in, rate limits, sessions and the theme."""

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
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert token is not None
    return token[1]


def login(client: TestClient, name: str, password: str, **changes: str) -> Any:
    token = token_of(client.get("/login").text)
    fields = {"csrf": token, "name": name, "password": password, "next": "", **changes}
    return client.post("/login", data=fields)


@pytest.fixture
def link(database: Database, settings: Settings, clock: FakeClock) -> str:
    url = create_first_admin_link(database, settings, at=clock())
    assert url is not None
    return url.removeprefix(ORIGIN)


class TestFirstAdmin:
    def set_up(self, client: TestClient, link: str, **changes: str) -> Any:
        token = token_of(client.get(link).text)
        fields = {"csrf": token, "name": "ada", "password": PASSWORD, "again": PASSWORD}
        return client.post(link, data=fields | changes)

    def test_the_link_creates_the_first_admin_and_signs_in(
        self, anonymous: TestClient, link: str
    ) -> None:
        response = self.set_up(anonymous, link)
        assert response.headers["location"] == "/alerts"
        assert anonymous.get("/users").status_code == 200

    def test_the_link_works_once(self, anonymous: TestClient, app: FastAPI, link: str) -> None:
        self.set_up(anonymous, link)
        other = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        response = other.get(link)
        assert response.status_code == 404
        assert "has been used" in response.text

    def test_no_link_is_created_once_an_admin_exists(
        self,
        anonymous: TestClient,
        link: str,
        database: Database,
        settings: Settings,
        clock: FakeClock,
    ) -> None:
        self.set_up(anonymous, link)
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
        ("changes", "message"),
        [
            ({"name": ""}, "Enter a name."),
            ({"name": "a b"}, "Use only letters, digits"),
            ({"name": "<b>x"}, "Use only letters, digits"),
            ({"name": "a" * 65}, "Enter at most 64"),
            ({"password": "short", "again": "short"}, "Enter at least 12"),
            ({"password": "aaaaaaaaaaaaaa", "again": "aaaaaaaaaaaaaa"}, "Too easy"),
            ({"password": "ada ada ada ada", "again": "ada ada ada ada"}, "Too easy"),
            ({"again": "something else entirely"}, "do not match"),
            ({"password": "x" * 1001, "again": "x" * 1001}, "Enter at most 1000"),
        ],
    )
    def test_invalid_input_is_explained_and_the_link_stays_valid(
        self, anonymous: TestClient, link: str, changes: dict[str, str], message: str
    ) -> None:
        response = self.set_up(anonymous, link, **changes)
        assert response.status_code == 422
        assert message in response.text
        assert self.set_up(anonymous, link).status_code == 303


class TestSignIn:
    def test_a_wrong_name_and_a_wrong_password_get_the_same_message(
        self, app: FastAPI, analyst: UserClient
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        for name, password in (("ana", "wrong"), ("ghost", PASSWORD), ("ANA", ""), ("", "")):
            response = login(client, name, password)
            assert response.status_code == 403
            assert "Name or password is incorrect." in response.text

    def test_user_names_are_case_insensitive(self, app: FastAPI, analyst: UserClient) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        assert login(client, " ANA ", PASSWORD).status_code == 303

    @pytest.mark.parametrize(
        ("next_path", "location"),
        [
            ("/alerts?status=closed", "/alerts?status=closed"),
            ("https://evil.example/", "/alerts"),
            ("//evil.example/", "/alerts"),
            ("/\\evil.example", "/alerts"),
            ("javascript:alert(1)", "/alerts"),
            ("/a\r\nSet-Cookie: x=y", "/alerts"),
        ],
    )
    def test_signing_in_redirects_only_to_paths_of_this_site(
        self, app: FastAPI, analyst: UserClient, next_path: str, location: str
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        assert login(client, "ana", PASSWORD, next=next_path).headers["location"] == location

    def test_a_sign_in_form_from_another_browser_is_refused(
        self, app: FastAPI, analyst: UserClient
    ) -> None:
        first, other = (TestClient(app, base_url=ORIGIN, follow_redirects=False) for _ in range(2))
        other.get("/login")
        fields = {
            "name": "ana",
            "password": PASSWORD,
            "csrf": token_of(first.get("/login").text),
        }
        assert other.post("/login", data=fields).status_code == 403

    def test_failed_sign_ins_are_rate_limited_for_the_account_only(
        self, app: FastAPI, analyst: UserClient, admin: UserClient
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        for _ in range(5):
            assert login(client, "ana", "wrong").status_code == 403
        response = login(client, "ana", PASSWORD)
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) > 0
        assert login(client, "ada", PASSWORD).status_code == 303

    def test_the_session_cookie_is_http_only_and_same_site(
        self, app: FastAPI, analyst: UserClient
    ) -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        cookie = login(client, "ana", PASSWORD).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie

    def test_a_page_redirects_to_the_sign_in_page_and_back(self, anonymous: TestClient) -> None:
        response = anonymous.get("/alerts?status=closed&q=a%26b")
        assert response.status_code == 303
        assert (
            response.headers["location"] == "/login?next=%2Falerts%3Fstatus%3Dclosed%26q%3Da%2526b"
        )

    def test_a_request_from_htmx_makes_the_browser_open_the_sign_in_page(
        self, anonymous: TestClient
    ) -> None:
        response = anonymous.get("/alerts", headers={"HX-Request": "true"})
        assert response.status_code == 401
        assert response.headers["hx-redirect"].startswith("/login?next=")


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
        cookies = dict(analyst.client.cookies)
        analyst.post("/logout")
        analyst.client.cookies.update(cookies)
        assert analyst.get("/alerts").status_code == 303

    def test_a_session_ends_after_twelve_hours_without_use(
        self, analyst: UserClient, clock: FakeClock
    ) -> None:
        clock.advance(hours=11)
        assert analyst.get("/alerts").status_code == 200
        clock.advance(hours=11)
        assert analyst.get("/alerts").status_code == 200
        clock.advance(hours=12)
        assert analyst.get("/alerts").status_code == 303

    def test_a_session_ends_after_a_week_of_use(
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

    def test_demoting_or_disabling_a_user_applies_immediately(
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
def test_the_theme_is_saved(analyst: UserClient, theme: str, status: int) -> None:
    assert analyst.post("/theme", {"theme": theme, "next": "/rules"}).status_code == status
    saved_theme = theme if status == 303 else "auto"
    assert f'data-theme="{saved_theme}"' in analyst.get("/rules").text
