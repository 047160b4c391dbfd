"""Instructions for connecting agents: address, key, and the syntax of each configuration."""

import html
import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from app.domain.principal import Role
from app.web.pages.agents.connect import AGENT_KINDS, connect_steps
from tests.conftest import AgentClient, UserClient

BASE_URLS = (
    "http://127.0.0.1:8000",
    "https://deckwatch.example.org",
    "https://deckwatch.example.org:8443",
    "https://[2001:db8::7]",
)
KEY = "dw_" + "aB3_-" * 8 + "xyz"


def code_blocks(kind: str, base: str = BASE_URLS[1]) -> list[str]:
    return [step.code for step in connect_steps(kind, base, KEY) if step.code]


def parsed_yaml(kind: str, index: int, base: str = BASE_URLS[1]) -> Any:
    return yaml.safe_load(code_blocks(kind, base)[index])


# Kind of agent and index of each code block that is YAML.
YAML = [
    ("elastic", 1),
    ("filebeat", 0),
    ("filebeat", 1),
    ("falco", 0),
    ("falco", 1),
    ("falcosidekick", 0),
    ("falcosidekick", 1),
    ("tetragon", 0),
    ("tetragon", 1),
    ("tracee", 1),
]


@pytest.mark.parametrize("base", BASE_URLS)
def test_every_yaml_block_is_valid_and_has_no_duplicate_keys(base: str) -> None:
    for kind, index in YAML:
        text = code_blocks(kind, base)[index]
        assert yaml.safe_load(text), (kind, index)
        nodes = [yaml.compose(text)]
        while nodes:
            node = nodes.pop()
            if isinstance(node, yaml.MappingNode):
                names = [key.value for key, _ in node.value]
                assert len(names) == len(set(names)), (kind, names)
                nodes += [value for _, value in node.value]
            elif isinstance(node, yaml.SequenceNode):
                nodes += node.value


@pytest.mark.parametrize("kind", AGENT_KINDS)
def test_every_kind_of_agent_has_the_key_and_the_address(kind: str) -> None:
    for base in BASE_URLS:
        code = "\n".join(code_blocks(kind, base))
        assert KEY in code
        host = re.sub(r"^\w+://|:\d+$", "", base).strip("[]")
        assert host in code


def test_urls_for_elastic_programs_include_the_port_which_would_default_to_9200() -> None:
    for base, expected in zip(
        BASE_URLS,
        (
            "http://127.0.0.1:8000/elastic",
            "https://deckwatch.example.org:443/elastic",
            "https://deckwatch.example.org:8443/elastic",
            "https://[2001:db8::7]:443/elastic",
        ),
        strict=True,
    ):
        agent = parsed_yaml("elastic", 1, base)["outputs"]["default"]
        beat = parsed_yaml("filebeat", 0, base)["output.elasticsearch"]
        assert agent["hosts"] == beat["hosts"] == [expected]
        assert agent["api_key"] == beat["api_key"] == f"deckwatch:{KEY}"
        assert f'hosts => ["{expected}"]' in code_blocks("elastic", base)[0]
        assert f'server="{expected}"' in code_blocks("rsyslog", base)[0]


def test_agents_that_cannot_set_a_header_have_the_key_in_the_url() -> None:
    url = f"https://deckwatch:{KEY}@deckwatch.example.org/api/v1/events"
    assert parsed_yaml("falco", 1)["http_output"]["url"] == url
    assert parsed_yaml("tracee", 1)["args"][-1] == f"webhook:{url}?timeout=5s"
    assert shlex.split(code_blocks("tracee")[0])[-1] == f"webhook:{url}?timeout=5s"


def test_the_falco_rule_outputs_every_field_that_deckwatch_reads() -> None:
    (rule,) = parsed_yaml("falco", 0)
    assert set(rule) == {"rule", "desc", "condition", "output", "priority", "tags"}
    for field in (
        "evt.type",
        "proc.name",
        "proc.cmdline",
        "proc.args",
        "proc.exepath",
        "proc.pid",
        "user.name",
        "container.id",
        "container.name",
        "container.image.repository",
        "k8s.ns.name",
        "k8s.pod.name",
    ):
        assert f"%{field}" in rule["output"]


def test_fluent_bit_and_vector_send_to_the_events_endpoint() -> None:
    (output,) = parsed_yaml("tetragon", 0, BASE_URLS[2])["pipeline"]["outputs"]
    assert (output["host"], output["port"], output["uri"]) == (
        "deckwatch.example.org",
        8443,
        "/api/v1/events",
    )
    assert output["tls"] is True  # YAML 1.1 reads "on" as true
    assert output["header"] == f"Authorization Bearer {KEY}"
    vector = parsed_yaml("tetragon", 1)
    sink = vector["sinks"]["deckwatch"]
    assert sink["uri"] == "https://deckwatch.example.org/api/v1/events"
    assert set(sink["inputs"]) <= set(vector["sources"])
    assert sink["auth"] == {"strategy": "bearer", "token": KEY}


@pytest.mark.parametrize("kind", ["elastic", "rsyslog", "syslog-ng"])
def test_brackets_are_balanced_in_formats_without_a_python_parser(kind: str) -> None:
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', code_blocks(kind)[0])
    assert '"' not in text.replace('""', "")
    open_brackets: list[str] = []
    for character in text:
        if character in "([{":
            open_brackets.append(character)
        elif character in ")]}":
            assert open_brackets.pop() + character in ("()", "[]", "{}")
    assert open_brackets == []


def test_the_event_of_the_curl_command_opens_an_alert(
    agent: AgentClient, admin: UserClient
) -> None:
    words = shlex.split(code_blocks("curl")[0])
    assert words[:2] == ["curl", "https://deckwatch.example.org/api/v1/events"]
    event = json.loads(words[words.index("-d") + 1])
    assert agent.send_events(event)["matched"] == 1
    assert "try-me" in admin.get("/alerts").text


@pytest.mark.parametrize("kind", AGENT_KINDS)
def test_every_kind_of_agent_has_a_tab_with_its_steps(
    agent: AgentClient, admin: UserClient, kind: str
) -> None:
    label = AGENT_KINDS[kind][0]
    page = admin.get(f"/agents?connect={kind}").text
    assert re.search(
        rf'href="/agents\?connect={kind}#connect"[^>]*aria-current="page">{label}<', page
    )
    text = html.unescape(page)
    for step in connect_steps(kind, BASE_URLS[0], None):
        assert (step.code or "") in text
    assert "YOUR-KEY" in text


def test_a_new_key_is_shown_once_in_the_steps_of_every_kind(admin: UserClient) -> None:
    response = admin.post(
        "/agents/keys", {"name": "edge", "role": "agent", "connect": "falcosidekick"}
    )
    assert response.status_code == 201
    key = re.search(r"dw_[\w-]{43}", response.text)
    assert key is not None
    assert "YOUR-KEY" not in response.text
    text = html.unescape(response.text)
    for kind in AGENT_KINDS:
        for step in connect_steps(kind, BASE_URLS[0], key[0]):
            assert (step.code or "") in text, kind
    assert '<details class="dw-disclosure dw-connect-kind" id="connect-falcosidekick" open>' in text
    assert key[0] not in admin.get("/agents?connect=falcosidekick").text


def test_an_api_client_key_is_not_filled_into_the_steps(
    admin: UserClient, make_key: Callable[[str, Role], str]
) -> None:
    response = admin.post("/agents/keys", {"name": "reports", "role": "analyst"})
    assert "YOUR-KEY" in response.text


def test_an_invalid_name_keeps_the_selected_kind_of_agent(admin: UserClient) -> None:
    response = admin.post(
        "/agents/keys", {"name": "no name!", "role": "agent", "connect": "tracee"}
    )
    assert response.status_code == 422
    assert "sched_process_exec" in response.text
    assert 'name="connect" value="tracee"' in response.text
