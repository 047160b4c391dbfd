"""Hostile text appears on pages as text: it adds no markup, hides nothing and moves no table row."""

import re

import pytest

from tests.hostile_input.conftest import HostileApp, Page, propose
from tests.hostile_input.text import HOSTILE, text_id


def test_there_are_hundreds_of_hostile_texts() -> None:
    assert len(set(HOSTILE)) > 200


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=[text_id(text) for text in HOSTILE])
def test_an_alert_shows_hostile_text_as_text(hostile_app: HostileApp, number: int) -> None:
    alert = hostile_app.alerts[f"hostile-{number}"]
    html = hostile_app.check_page(f"/alerts/{alert}")
    assert html.count('id="match-') == html.count("/event.json")
    hostile_app.check_page(f"/exclusions/new?alert={alert}")


def test_the_list_of_alerts_keeps_its_rows(hostile_app: HostileApp) -> None:
    seen: list[str] = []
    path: str | None = "/alerts?status=all&sort=priority"
    while path:
        html = hostile_app.check_page(path)
        rows = re.findall(r'href="/alerts/(\d+)"', html)
        assert Page(html).counts["tr"] == len(dict.fromkeys(rows)) + 1
        seen += dict.fromkeys(rows)
        older = re.search(r'<a id="list-older"[^>]* href="([^"]+)"', html)
        path = older[1].replace("&amp;", "&") if older else None
    assert set(map(int, seen)) >= set(hostile_app.alerts.values()) - {0}
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("block", ["alert", "matches", "activity", "guide", "list", "nothing"])
def test_a_partial_page_is_as_safe_as_the_full_page(hostile_app: HostileApp, block: str) -> None:
    asked = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": f"section#{block}"}
    hostile_app.check_page(f"/alerts/{max(hostile_app.alerts.values())}", **asked)
    hostile_app.check_page("/alerts", **asked)


def test_hostile_text_in_an_exclusion_is_refused_or_shown_as_text(hostile_app: HostileApp) -> None:
    made = []
    for text in HOSTILE:
        answer = propose(hostile_app, text[:10_000], reason=text[:1_000], owner=text[:90])
        assert answer.status_code in (201, 422), (text_id(text), answer.text)
        if answer.status_code == 201:
            made.append(answer.json()["id"])
        else:
            assert answer.json()["detail"]
    assert len(made) > 200
    for start in range(0, len(made), 50):
        hostile_app.check_page(f"/exclusions?show=all&from={start}")
    for number in made[::10]:
        hostile_app.check_page(f"/exclusions/{number}")
        hostile_app.check_page(f"/exclusions/{number}/edit")
    for start in range(0, 2 * len(made), 50):
        hostile_app.check_page(f"/audit?before={start + 50}")
    for number in made:
        ended = hostile_app.client.delete(
            f"/api/v1/exclusions/{number}",
            headers={"Authorization": f"Bearer {hostile_app.admin_key}"},
        )
        assert ended.status_code == 204


def test_hostile_bytes_in_quarantine_are_shown_as_text(hostile_app: HostileApp) -> None:
    lines = [text[:2_000].encode("utf-8", "surrogatepass") for text in HOSTILE if "\n" not in text]
    # The first line is valid JSON, so that the body is read as NDJSON and not as one object on many lines.
    body = b"\n".join((b"17", *(b"{" + line for line in lines)))
    answer = hostile_app.client.post(
        "/api/v1/events", content=body, headers={"Authorization": f"Bearer {hostile_app.agent_key}"}
    )
    assert answer.json()["received"] == len(answer.json()["rejected"]) == len(lines) + 1
    hostile_app.check_page("/agents")
    hostile_app.check_page("/agents/1")
    for before in range(10, len(lines) + 20, 10):
        hostile_app.check_page(f"/quarantine?before={before}")
    for number in range(1, len(lines) + 2, 5):
        hostile_app.check_page(f"/quarantine/{number}")


@pytest.mark.parametrize("number", range(0, len(HOSTILE), 20))
def test_hostile_text_in_a_url_is_answered(hostile_app: HostileApp, number: int) -> None:
    text = HOSTILE[number][:2_000].encode("utf-8", "replace").decode()
    names = ("q", "host", "status", "sort", "cursor", "assignee", "role", "verdict")
    for name in names:
        shown = hostile_app.client.get("/alerts", params={name: text})
        assert shown.status_code == 200
        assert "<script>" not in shown.text
        told = hostile_app.client.get(
            "/api/v1/alerts",
            params={name: text},
            headers={"Authorization": f"Bearer {hostile_app.admin_key}"},
        )
        assert told.status_code in (200, 422)
    for path in (
        "/audit",
        "/agents",
        "/agents/1",
        "/quarantine",
        "/exclusions",
        "/exclusions/new",
        "/rules",
        "/login",
    ):
        query = dict.fromkeys(
            (
                "who",
                "what",
                "before",
                "from",
                "show",
                "next",
                "fields",
                "q",
                "page",
                "key",
                "reason",
            ),
            text,
        )
        assert hostile_app.client.get(path, params=query).status_code in (200, 303), path
