"""Hostile text is shown as text: no markup that is not ours, nothing hidden, no row out of place."""

import re

import pytest

from tests.hostile_input.conftest import House, Page, propose
from tests.hostile_input.text import HOSTILE, named


def test_there_are_hundreds_of_them() -> None:
    assert len(set(HOSTILE)) > 200


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=[named(text) for text in HOSTILE])
def test_an_alert_shows_hostile_text_as_text(house: House, number: int) -> None:
    alert = house.alerts[f"hostile-{number}"]
    html = house.check(f"/alerts/{alert}")
    assert html.count('id="match-') == html.count("/event.json")
    house.check(f"/exclusions/new?alert={alert}")


def test_the_list_of_alerts_keeps_its_rows(house: House) -> None:
    seen: list[str] = []
    path: str | None = "/alerts?status=all&sort=priority"
    while path:
        html = house.check(path)
        rows = re.findall(r'href="/alerts/(\d+)"', html)
        assert Page(html).counts["tr"] == len(dict.fromkeys(rows)) + 1
        seen += dict.fromkeys(rows)
        older = re.search(r'<a id="list-older"[^>]* href="([^"]+)"', html)
        path = older[1].replace("&amp;", "&") if older else None
    assert set(map(int, seen)) >= set(house.alerts.values()) - {0}
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("block", ["alert", "matches", "activity", "guide", "list", "nothing"])
def test_a_block_that_is_fetched_alone_is_as_safe(house: House, block: str) -> None:
    asked = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": f"section#{block}"}
    house.check(f"/alerts/{max(house.alerts.values())}", **asked)
    house.check("/alerts", **asked)


def test_hostile_text_in_an_exclusion_is_refused_or_shown_as_text(house: House) -> None:
    made = []
    for text in HOSTILE:
        answer = propose(house, text[:10_000], reason=text[:1_000], owner=text[:90])
        assert answer.status_code in (201, 422), (named(text), answer.text)
        if answer.status_code == 201:
            made.append(answer.json()["id"])
        else:
            assert answer.json()["detail"]
    assert len(made) > 200
    for start in range(0, len(made), 50):
        house.check(f"/exclusions?show=all&from={start}")
    for number in made[::10]:
        house.check(f"/exclusions/{number}")
        house.check(f"/exclusions/{number}/edit")
    for start in range(0, 2 * len(made), 50):
        house.check(f"/audit?before={start + 50}")
    for number in made:
        ended = house.client.delete(
            f"/api/v1/exclusions/{number}", headers={"Authorization": f"Bearer {house.admin_key}"}
        )
        assert ended.status_code == 204


def test_hostile_bytes_in_quarantine_are_shown_as_text(house: House) -> None:
    lines = [text[:2_000].encode("utf-8", "surrogatepass") for text in HOSTILE if "\n" not in text]
    # The first is JSON, so that these are lines and not one event printed over many.
    body = b"\n".join((b"17", *(b"{" + line for line in lines)))
    answer = house.client.post(
        "/api/v1/events", content=body, headers={"Authorization": f"Bearer {house.agent_key}"}
    )
    assert answer.json()["received"] == len(answer.json()["rejected"]) == len(lines) + 1
    house.check("/agents")
    house.check("/agents/1")
    for before in range(10, len(lines) + 20, 10):
        house.check(f"/quarantine?before={before}")
    for number in range(1, len(lines) + 2, 5):
        house.check(f"/quarantine/{number}")


@pytest.mark.parametrize("number", range(0, len(HOSTILE), 20))
def test_what_somebody_typed_into_an_address_is_answered(house: House, number: int) -> None:
    text = HOSTILE[number][:2_000].encode("utf-8", "replace").decode()
    names = ("q", "host", "status", "sort", "cursor", "assignee", "role", "verdict")
    for name in names:
        shown = house.client.get("/alerts", params={name: text})
        assert shown.status_code == 200
        assert "<script>" not in shown.text
        told = house.client.get(
            "/api/v1/alerts",
            params={name: text},
            headers={"Authorization": f"Bearer {house.admin_key}"},
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
        assert house.client.get(path, params=query).status_code in (200, 303), path
