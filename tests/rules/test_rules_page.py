"""The rule list and rule page: search, pagination, broken rule files, rules no longer loaded."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.principal import Role
from app.main import create_app
from app.settings import Settings
from tests.conftest import ORIGIN, AgentClient, FakeClock, UserClient
from tests.factories import exec_event

RULE = """[rule]
rule_id = "{id}"
name = "{name}"
description = "For tests."
severity = "low"
risk_score = {risk}
type = "eql"
language = "eql"
enabled = {enabled}
tags = ["Sample"]
query = 'process where process.name == "{id}"'
"""


def write_rule(folder: Path, rule_id: str, **more: Any) -> None:
    fields = {"id": rule_id, "name": f"The {rule_id}", "risk": 21, "enabled": "true"} | more
    (folder / f"{rule_id}.toml").write_text(RULE.format(**fields))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A rule folder; tests write rule files into it before the application starts."""
    path = tmp_path / "more"
    path.mkdir()
    return path


@pytest.fixture
def settings(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"rules": (folder,)})


@pytest.fixture
def restart(settings: Settings, clock: FakeClock, admin: UserClient) -> Callable[[], UserClient]:
    """Return a function that starts a new application and returns the signed-in admin of it."""

    def start() -> UserClient:
        client = TestClient(create_app(settings, clock=clock), base_url=ORIGIN)
        client.follow_redirects = False
        client.cookies = admin.client.cookies
        return UserClient(client, admin.name)

    return start


def listed_rules(page: str) -> list[str]:
    """Return the HTML of the rule names in the list."""
    return re.findall(r'<a class="dw-headline" href="/rules/[^"]+">([^<]+)</a>', page)


def tab_count(page: str, tab: str) -> str:
    match = re.search(rf'>{tab} <span class="dw-tab-count">([\d,]+)</span>', page)
    assert match is not None
    return match[1]


class TestList:
    @pytest.fixture(autouse=True)
    def _rules(self, folder: Path) -> None:
        write_rule(folder, "sample-a", risk=99, name="Zebra")
        write_rule(folder, "sample-b", risk=0, enabled="false", name="A <i>disabled</i> one")

    def test_enabled_and_disabled_rules_are_sorted_by_risk_score(self, admin: UserClient) -> None:
        page = admin.get("/rules").text
        assert listed_rules(page)[0] == "Zebra"
        assert listed_rules(page)[-1] == "A &lt;i&gt;disabled&lt;/i&gt; one"
        row = page[page.index('id="rule-sample-b"') :]
        assert row.startswith('id="rule-sample-b" class="dw-rule-disabled"')
        assert 'aria-label="Enable A &lt;i&gt;disabled&lt;/i&gt; one">Enable</button>' in row

    def test_tabs_filter_and_count_rules_by_state(self, admin: UserClient) -> None:
        before = admin.get("/rules?state=disabled&q=sample").text
        assert listed_rules(before) == ["A &lt;i&gt;disabled&lt;/i&gt; one"]
        assert (tab_count(before, "All"), tab_count(before, "Enabled")) == ("2", "1")
        admin.post("/rules/sample-a/switch", {"enabled": "no"})
        after = admin.get("/rules?state=disabled&q=sample").text
        assert listed_rules(after)[0] == "Zebra"
        assert (tab_count(after, "Disabled"), tab_count(after, "Enabled")) == ("2", "0")

    @pytest.mark.parametrize(
        ("q", "names"),
        [
            ("zebra", ["Zebra"]),
            ("ZEB sample", ["Zebra"]),
            ("sample-b.toml", ["A &lt;i&gt;disabled&lt;/i&gt; one"]),
            ("zebra nothing", []),
            ("%_*", []),
        ],
    )
    def test_a_rule_must_contain_every_word_of_the_search(
        self, admin: UserClient, q: str, names: list[str]
    ) -> None:
        page = admin.get("/rules", params={"q": q}).text
        assert listed_rules(page) == names
        assert ("No rules match these filters" in page) is not bool(names)

    @pytest.mark.parametrize("query", ["state=x", "from=99999", "from=-1", "from=x", "q=%00%ff"])
    def test_invalid_query_parameters_are_ignored(self, admin: UserClient, query: str) -> None:
        assert admin.get(f"/rules?{query}").status_code == 200


class TestManyRules:
    @pytest.fixture(autouse=True)
    def _rules(self, folder: Path) -> None:
        for number in range(600):
            write_rule(folder, f"sample-{number:03}", name=f"Sample {number:03}")

    def test_pagination_keeps_the_filter(self, admin: UserClient) -> None:
        names: list[str] = []
        url = "/rules?q=sample&state=enabled"
        while True:
            page = admin.get(url).text
            names += listed_rules(page)
            older = re.search(r'id="list-older" class="btn" href="([^"]+)"', page)
            if older is None:
                break
            url = older[1].replace("&amp;", "&")
        assert names == [f"Sample {number:03}" for number in range(600)]
        assert tab_count(page, "Enabled") == "600"

    def test_disabling_one_rule_leaves_the_others_enabled(
        self, agent: AgentClient, admin: UserClient
    ) -> None:
        admin.post("/rules/sample-123/switch", {"enabled": "no"})
        events = [exec_event("sample-123"), exec_event("sample-124")]
        assert agent.send_events(events)["matched"] == 1


# ---- rule page ----


def test_the_page_of_a_disabled_rule_says_that_events_open_no_alerts(
    folder: Path, restart: Any
) -> None:
    write_rule(folder, "sample-a", enabled="false")
    admin = restart()
    page = admin.get("/rules/sample-a").text
    assert "Disabled</strong> by default. Matching events open no alerts." in page
    assert "Every match opens or updates an alert" not in page
    admin.post("/rules/sample-a/switch", {"enabled": "yes"})
    page = admin.get("/rules/sample-a").text
    assert re.search(
        r"Enabled</strong> by <bdi>ada</bdi> <time[^>]+>[^<]+</time>; disabled by default", page
    )
    assert "Every match opens or updates an alert" in page


def test_alerts_of_a_rule_stay_readable_after_its_file_is_deleted(
    agent: AgentClient, folder: Path, restart: Any, settings: Settings, clock: FakeClock
) -> None:
    write_rule(folder, "sample-a", name="Once <b>here</b>")
    with TestClient(create_app(settings, clock=clock), base_url=ORIGIN) as client:
        AgentClient(client, agent.key).send_events(exec_event("sample-a"))
    (folder / "sample-a.toml").unlink()
    admin = restart()
    alert = admin.get("/alerts/1").text
    assert "Once &lt;b&gt;here&lt;/b&gt;" in alert
    assert "The rule is no longer loaded, so its guide is not available." in alert
    assert "Add exclusion" not in alert
    assert "This rule is no longer loaded" in admin.get("/exclusions/new?alert=1").text
    assert admin.post("/alerts/1/status", {"move": "acknowledge"}).status_code == 303
    page = admin.get("/rules/sample-a")
    assert page.status_code == 200
    assert "<h1>Once &lt;b&gt;here&lt;/b&gt;</h1>" in page.text
    assert "no longer loaded" in page.text
    assert 'href="/alerts?status=all&amp;rule=sample-a"' in page.text
    assert "Rule: <bdi>Once" in admin.get("/alerts?status=all&rule=sample-a").text
    assert admin.post("/rules/sample-a/switch", {"enabled": "yes"}).status_code == 404
    assert admin.get("/rules/never-there").status_code == 404


# ---- broken rule files ----


def test_every_problem_of_a_rule_file_is_listed_with_its_location(
    folder: Path, restart: Any
) -> None:
    write_rule(folder, "sample-a", risk=-1, enabled='"<b>"')
    page = restart().get("/rules").text
    assert "1 rule file was not loaded." in page
    assert "2 problems</summary>" in page
    locations = re.findall(r"<code><bdi>([^<]*sample-a\.toml:\d+:\d+)</bdi></code>", page)
    lines = [int(location.rsplit(":")[-2]) for location in locations]
    assert lines == [6, 9]
    assert '<details class="dw-disclosure" open>' in page


def test_hundreds_of_problems_are_collapsed_and_limited(folder: Path, restart: Any) -> None:
    for number in range(400):
        (folder / f"{number:03}.toml").write_text(f"broken {number}")
    page = restart().get("/rules").text
    assert "400 rule files were not loaded." in page
    assert '<details class="dw-disclosure">' in page
    assert page.count(".toml:1:") == 300
    assert "Only the first 300 problems are listed." in page


class TestOverview:
    @pytest.fixture(autouse=True)
    def _rules(self, folder: Path) -> None:
        (folder / "broken.toml").write_text("broken")
        write_rule(folder, "sample-a", name="Was <i>on</i>")
        write_rule(folder, "sample-b", name="Never on", enabled="false")

    def test_it_lists_broken_rule_files_and_recently_disabled_rules(
        self, admin: UserClient, sign_in: Callable[[str, Role], UserClient], clock: FakeClock
    ) -> None:
        def overview_text(user: UserClient) -> str:
            return " ".join(re.sub(r"<[^>]+>", " ", user.get("/").text).split())

        admin.post("/rules/sample-a/switch", {"enabled": "no"})
        assert "Rules broken · 1 rule file could not be loaded." in overview_text(admin)
        assert "disabled · Was &lt;i&gt;on&lt;/i&gt; disabled by ada · just now" in overview_text(
            admin
        )
        assert "Never on" not in overview_text(admin)
        clock.advance(days=8)
        assert "Was &lt;i&gt;on" not in overview_text(sign_in("bob", Role.ANALYST))


# ---- API ----


def test_the_api_lists_and_switches_rules(
    folder: Path, restart: Any, make_key: Callable[[str, Role], str]
) -> None:
    write_rule(folder, "sample-a", enabled="false")
    client = restart().client
    client.cookies.clear()
    keys = {role: make_key(f"key-{role}", role) for role in (Role.ANALYST, Role.ADMIN)}

    def call(role: Role, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {keys[role]}"}
        return client.request(method, f"/api/v1/rules{path}", json=body, headers=headers)

    def sample_rule() -> dict[str, Any]:
        rules = call(Role.ANALYST, "GET", "").json()["rules"]
        sample: dict[str, Any] = next(rule for rule in rules if rule["id"] == "sample-a")
        return sample

    assert sample_rule() == {
        "id": "sample-a",
        "slug": "sample-a",
        "name": "The sample-a",
        "severity": "low",
        "risk_score": 21,
        "enabled": False,
        "enabled_in_file": False,
        "file": str(folder / "sample-a.toml"),
        "version": 0,
        "changed_by": None,
        "changed_at": None,
    }
    assert call(Role.ANALYST, "PATCH", "/sample-a", {"enabled": True}).status_code == 403
    invalid_bodies: list[Any] = [
        {},
        {"enabled": "yes"},
        {"enabled": None},
        {"enabled": True, "x": 1},
        [],
    ]
    for body in invalid_bodies:
        assert call(Role.ADMIN, "PATCH", "/sample-a", body).status_code == 422
    assert sample_rule()["enabled"] is False
    changed = call(Role.ADMIN, "PATCH", "/sample-a", {"enabled": True, "version": 0}).json()
    assert (changed["enabled"], changed["version"]) == (True, 1)
    assert (changed["changed_by"], changed["changed_at"]) == ("key-admin", "2026-11-24T12:00:00Z")
    assert sample_rule() == changed
    stale = call(Role.ADMIN, "PATCH", "/sample-a", {"enabled": False, "version": 0})
    assert stale.status_code == 409
    assert "key-admin enabled the rule while you were viewing it" in stale.json()["detail"]
    assert call(Role.ADMIN, "PATCH", "/nope", {"enabled": True}).status_code == 404
    disabled = call(Role.ANALYST, "GET", "?enabled=false").json()["rules"]
    assert "sample-a" not in [rule["id"] for rule in disabled]


def test_only_http_references_are_links(folder: Path, restart: Callable[[], UserClient]) -> None:
    write_rule(folder, "linked")
    file = folder / "linked.toml"
    links = 'references = ["https://example.org/a", "javascript:alert(1)", "A book, page 3"]'
    file.write_text(file.read_text().replace("enabled =", f"{links}\nenabled ="))
    page = restart().get("/rules/linked").text
    assert '<a href="https://example.org/a" rel="noreferrer">' in page
    assert "<li><bdi>javascript:alert(1)</bdi></li>" in page
    assert "<li><bdi>A book, page 3</bdi></li>" in page
