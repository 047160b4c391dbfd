"""How to connect an agent: steps to copy, with this deployment's address and, just after, a new key."""

from markupsafe import Markup

from app.web import urls
from app.web.shell import ConnectStep, Tab

# Agents whose events can be read today; each further format brings its entry.
KINDS = {"curl": "curl", "elastic": "Elastic Agent", "filebeat": "Logstash, from any Beat"}
PLACEHOLDER = "YOUR-KEY"


def connect_tabs(path: str, chosen: str) -> tuple[Tab, ...]:
    current = chosen if chosen in KINDS else "curl"
    return tuple(
        Tab(label, urls.href(path, connect=kind) + "#connect", kind == current)
        for kind, label in KINDS.items()
    )


def connect_steps(kind: str, base_url: str, key: str | None) -> tuple[ConnectStep, ...]:
    """Steps for `kind`; without a fresh key they hold a placeholder, and the first says so."""
    return _STEPS.get(kind, _curl)(base_url, key or PLACEHOLDER)


def _curl(base_url: str, key: str) -> tuple[ConnectStep, ...]:
    event = (
        '{"@timestamp":"2026-01-01T00:00:00Z","event":{"category":["process"],"type":["start"],'
        '"action":"exec"},"host":{"name":"try-me","os":{"type":"linux"}},'
        '"container":{"id":"3f9a1c2b77d0","name":"checkout"},'
        '"process":{"name":"ssh","pid":4177,"args":["ssh","-N","-R","2222:localhost:22",'
        '"ops@203.0.113.9"],"entry_leader":{"entry_meta":{"type":"container"}}}}'
    )
    return (
        _step(
            "Send one event: an ssh that opens a tunnel out of a container.",
            f"curl {base_url}/api/v1/events \\\n"
            f"  -H 'Authorization: Bearer {key}' \\\n"
            f"  -H 'Content-Type: application/json' \\\n"
            f"  -d '{event}'",
        ),
        _step("The answer counts it as matched, and its alert is at the top of the list."),
        _step("A file with one event a line works as well, also compressed with gzip or zstd."),
    )


def _elastic(base_url: str, key: str) -> tuple[ConnectStep, ...]:
    return (
        _step(
            "In Kibana, open Integrations, Elastic Defend. Choose Cloud Workloads (or Traditional "
            "Endpoints) and a preset that reports all events, such as Complete EDR. A Fleet Server "
            "must be running."
        ),
        _step("Attach it to an agent policy and enrol the Elastic Agent on the hosts."),
        _step(
            "In Fleet, Settings, Outputs, add an output of type Logstash and choose it in the "
            "policy. Logstash keeps sending to Elasticsearch as before, and to Deckwatch too:",
            _logstash(base_url, key),
        ),
    )


def _filebeat(base_url: str, key: str) -> tuple[ConnectStep, ...]:
    return (
        _step("Auditbeat, and any Beat that writes ECS process events, can go through Logstash:"),
        _step("Add this output beside the one you have.", _logstash(base_url, key)),
    )


def _logstash(base_url: str, key: str) -> str:
    return (
        "output {\n"
        "  http {\n"
        f'    url => "{base_url}/api/v1/events"\n'
        '    http_method => "post"\n'
        '    format => "json_batch"\n'
        f'    headers => {{ "Authorization" => "Bearer {key}" }}\n'
        "    retry_failed => true\n"
        "  }\n"
        "}"
    )


_STEPS = {"curl": _curl, "elastic": _elastic, "filebeat": _filebeat}


def _step(text: str, code: str | None = None) -> ConnectStep:
    return ConnectStep(str(Markup("<p>{}</p>").format(text)), code)
