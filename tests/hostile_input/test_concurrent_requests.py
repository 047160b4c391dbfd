"""Concurrent requests that change the same data, sign-in links, and a database that refuses writes."""

import re
import threading
from collections import Counter

import pytest
from fastapi import FastAPI
from sqlmodel import select
from starlette.testclient import TestClient

from app.actions import credentials, sessions, users
from app.domain.errors import Unavailable
from app.domain.principal import CLI_PRINCIPAL
from app.store.database import Database
from app.store.tables import User
from app.store.users import LinkPurpose
from app.web.services import Services
from tests.conftest import ORIGIN, PASSWORD, AgentClient, FakeClock, UserClient
from tests.factories import exec_event


def test_concurrent_password_guesses_are_each_counted(app: FastAPI, admin: UserClient) -> None:
    answers: list[int] = []

    def guess() -> None:
        client = TestClient(app, base_url=ORIGIN, follow_redirects=False)
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/login").text)
        assert token is not None
        form = {"csrf": token[1], "name": admin.name, "password": "not the password", "next": ""}
        answers.append(client.post("/login", data=form).status_code)

    guesses = [threading.Thread(target=guess) for _ in range(12)]
    for one in guesses:
        one.start()
    for one in guesses:
        one.join()
    assert Counter(answers) == {403: 5, 429: 7}


def test_a_sign_in_link_cannot_set_a_password(
    anonymous: TestClient, admin: UserClient, database: Database, clock: FakeClock
) -> None:
    link = users.create_link(
        database, LinkPurpose.SIGN_IN, user_id=1, principal=CLI_PRINCIPAL, at=clock()
    )
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', anonymous.get("/login").text)
    assert token is not None
    form = {
        "csrf": token[1],
        "name": admin.name,
        "password": "x" + PASSWORD,
        "again": "x" + PASSWORD,
    }
    assert anonymous.post(f"/setup/{link}", data=form).status_code == 404
    assert anonymous.get(f"/setup/{link}").status_code == 303


def test_a_password_changed_meanwhile_is_not_overwritten(
    admin: UserClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = credentials.hash_password

    def set_by_somebody_else(password: str) -> str:
        with database.write() as session:
            user = session.get(User, 1)
            assert user is not None
            user.password_hash = "set by an admin"
            session.add(user)
        return hashed(password)

    monkeypatch.setattr(sessions, "hash_password", set_by_somebody_else)
    new = "another " + PASSWORD
    answer = admin.post("/account/password", {"current": PASSWORD, "password": new, "again": new})
    assert answer.status_code == 422
    assert "has just been changed" in answer.text
    with database.read() as session:
        assert session.exec(select(User.password_hash)).one() == "set by an admin"


def test_only_one_of_two_concurrent_closes_succeeds(agent: AgentClient, admin: UserClient) -> None:
    agent.send_events(exec_event())
    headers = {"X-CSRF-Token": admin.csrf_token()}
    answers: list[int] = []

    def close(verdict: str) -> None:
        change = {"status": "closed", "verdict": verdict, "reason": "x", "version": 1}
        answers.append(
            admin.client.patch("/api/v1/alerts/1", json=change, headers=headers).status_code
        )

    both = [
        threading.Thread(target=close, args=(verdict,))
        for verdict in ("false positive", "true positive")
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(answers) == [200, 409]
    kinds = [row["kind"] for row in admin.get("/api/v1/alerts/1").json()["activity"]]
    assert kinds == ["closed", "opened"]


def test_people_can_read_while_the_database_takes_no_writes(
    agent: AgentClient,
    admin: UserClient,
    services: Services,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent.send_events(exec_event())
    clock.advance(minutes=30)  # the next request would extend the session, which is a write

    def full(lock_timeout: float = 5.0) -> None:
        raise Unavailable("The disk is full; nothing was changed. Free some space.")

    monkeypatch.setattr(services.database, "write", full)
    assert admin.get("/alerts").status_code == 200
    assert admin.get("/alerts/1").status_code == 200
    refused = admin.post("/alerts/1/status", {"move": "acknowledge"})
    assert refused.status_code == 503
    assert "Free some space" in refused.text
    answer = agent.send(exec_event())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    monkeypatch.undo()
    assert admin.post("/alerts/1/status", {"move": "acknowledge"}).status_code == 303


def test_identical_findings_are_listed_once(agent: AgentClient, admin: UserClient) -> None:
    forwards = [word for n in range(1, 400) for word in ("-L", f"{n}:h:22")]
    agent.send_events(exec_event("ssh", *forwards, "host"))
    alert = admin.get("/api/v1/alerts/1").json()
    assert len(alert["priority_parts"]) < 20
    assert any("×399" in part["why"] for part in alert["priority_parts"])
    assert "more findings" in admin.get("/alerts/1").text
