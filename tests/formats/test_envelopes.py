"""Events in envelopes of Elasticsearch, CloudEvents, Velociraptor and log shippers."""

import json
from typing import Any

import pytest

from app.domain.ecs_fields import field_values
from app.domain.event import event_from_ecs
from app.formats import MARKER_KEYS, EventParseError, normalise
from tests.agent_events import (
    CONTAINER_ID,
    NODE,
    falco,
    tetragon,
    tracee,
    tracee_v1beta1,
    velociraptor_tracee_row,
)
from tests.factories import exec_event

UNWRAPPED_EVENTS: dict[str, dict[str, Any]] = {
    "falco": falco(),
    "tetragon": tetragon(),
    "tracee": tracee(),
    "tracee, structured": tracee_v1beta1(),
    "ecs": exec_event(),
}
VELOCIRAPTOR_ROW = {
    "Artifact": "Custom.Linux.Runtime",
    "ClientId": "C.7f3a1b2c4d5e6f70",
    "FlowId": "F.D3U2",
    "Hostname": "client-name",
    "timestamp": "2026-11-24T12:00:00Z",
    "Organization": "root",
}

WRAPPERS: dict[str, Any] = {
    "an Elasticsearch hit": lambda event: {"_index": "x", "_id": "1", "_source": event},
    "columns of a Velociraptor row": lambda event: {**VELOCIRAPTOR_ROW, **event},
    "an object in a column": lambda event: {**VELOCIRAPTOR_ROW, "Line": 7, "Event": event},
    "JSON text in a column": lambda event: {"Line": f" {json.dumps(event)}\n", **VELOCIRAPTOR_ROW},
    "a Velociraptor row in a hit": lambda event: {"_source": {**VELOCIRAPTOR_ROW, "Event": event}},
    "a CloudEvent": lambda event: {"specversion": "1.0", "type": "x", "data": event},
}


@pytest.mark.parametrize("event", UNWRAPPED_EVENTS.values(), ids=UNWRAPPED_EVENTS.keys())
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_a_wrapped_event_converts_like_the_unwrapped_one(wrap: Any, event: Any) -> None:
    direct, unwrapped = normalise(event), normalise(wrap(event))
    fields = (
        "event.category", "event.type", "event.action", "container.id", "process.name",
        "process.args", "process.pid", "user.id", "orchestrator.namespace",
    )  # fmt: skip
    for field in fields:
        assert field_values(unwrapped, field) == field_values(direct, field), field
    if field_values(direct, "host.name"):
        assert field_values(unwrapped, "host.name") == field_values(direct, "host.name")


@pytest.mark.parametrize("event", UNWRAPPED_EVENTS.values(), ids=UNWRAPPED_EVENTS.keys())
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_every_wrapped_event_has_a_marker_key(wrap: Any, event: Any) -> None:
    assert not set(MARKER_KEYS).isdisjoint(wrap(event))


def test_a_velociraptor_row_supplies_a_missing_host_name() -> None:
    event = {key: value for key, value in falco().items() if key != "hostname"}
    assert field_values(normalise({**VELOCIRAPTOR_ROW, "Event": event}), "host.name") == [
        "client-name"
    ]
    assert field_values(normalise({**VELOCIRAPTOR_ROW, "Event": falco()}), "host.name") == [NODE]


def test_falcosidekick_supplies_the_event_id() -> None:
    alert = falco(cluster="eu-1") | {"uuid": "0b6f5a8e-7d0c-4f0e-9f0a-2f4f7f1e7c11"}
    event = event_from_ecs(normalise(alert))
    assert event.id == "0b6f5a8e-7d0c-4f0e-9f0a-2f4f7f1e7c11"
    assert (event.container_id, event.host_name) == (CONTAINER_ID[:12], NODE)


def test_falcosidekicks_underscore_names_are_accepted() -> None:
    alert = falco()
    flat = {name.replace(".", "_"): value for name, value in alert["output_fields"].items()}
    assert normalise(alert | {"output_fields": flat}) == normalise(alert)


def test_a_cloud_events_id_becomes_the_event_id() -> None:
    event = {"specversion": "1.0", "id": "0b6f5a8e", "data": falco()}
    assert event_from_ecs(normalise(event)).id == "0b6f5a8e"


def test_velociraptors_own_tracee_events_are_converted() -> None:
    document = normalise(velociraptor_tracee_row())
    expected = {
        "@timestamp": ["2026-11-24T13:59:58.123456789+02:00"],
        "event.type": ["start"],
        "event.action": ["exec"],
        "host.name": [NODE],
        "process.name": ["ssh"],
        "process.args": ["ssh", "-p", "2222", "deploy@10.42.3.17", "uptime -p"],
        "process.pid": [4177],
        "process.parent.pid": [41],
        "user.id": ["101"],
        # These rows do not contain the container id.
        "container.id": [],
    }
    assert {field: field_values(document, field) for field in expected} == expected


def test_a_shippers_ecs_fields_do_not_hide_the_agents_format() -> None:
    shipped = falco() | {
        "@timestamp": "2026-11-24T12:00:09Z",
        "agent": {"type": "filebeat"},
        "ecs": {"version": "8.0.0"},
        "log": {"offset": 0},
    }
    assert field_values(normalise(shipped), "event.action") == ["exec"]


SHIPPER_ENVELOPES: dict[str, Any] = {
    "Filebeat without decoding": lambda line: {
        "@timestamp": "2026-11-24T12:00:09Z",
        "ecs": {"version": "8.0.0"},
        "agent": {"type": "filebeat"},
        "host": {"name": NODE},
        "log": {"offset": 0, "file": {"path": "/var/log/x"}},
        "message": line,
    },
    "Filebeat with decoding in place": lambda line: {
        "ecs": {"version": "8.0.0"},
        "host": {"name": NODE},
        "json": json.loads(line),
    },
    "Vector": lambda line: {"message": line, "source_type": "file", "host": NODE},
    "Docker and Fluent Bit": lambda line: {"log": line + "\n", "stream": "stdout"},
}


@pytest.mark.parametrize("event", UNWRAPPED_EVENTS.values(), ids=UNWRAPPED_EVENTS.keys())
@pytest.mark.parametrize("envelope", SHIPPER_ENVELOPES.values(), ids=SHIPPER_ENVELOPES.keys())
def test_a_log_line_is_unwrapped_from_the_shippers_envelope(envelope: Any, event: Any) -> None:
    document = normalise(envelope(json.dumps(event)))
    # Tracee's structured events have no host name, so the shipper's is used.
    assert {key: document[key] for key in document if key != "host.name"} == normalise(event)


@pytest.mark.parametrize("message", ["Endpoint process event", "{", '{"a":1}', None, 7, {"a": 1}])
def test_a_message_that_is_not_an_event_stays_unchanged(message: Any) -> None:
    for event in (exec_event(message=message), {"ecs": {"version": "8.0.0"}, "message": message}):
        assert normalise(event) == event


def test_an_event_is_not_taken_from_the_message_of_another_event() -> None:
    inner = json.dumps(tetragon())
    assert normalise(exec_event(message=inner))["process"]
    assert field_values(normalise(falco() | {"message": inner}), "agent.type") == ["falco"]


UNPARSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "a hit with another document": ({"_source": {"a": 1}}, "_source of this Elasticsearch hit"),
    "a hit with a null source": ({"_source": None}, "_source of this Elasticsearch hit"),
    "a row without an event": ({**VELOCIRAPTOR_ROW, "OSPath": "/etc"}, "none of the columns"),
    "a hit with a row without an event": (
        {"_source": {**VELOCIRAPTOR_ROW, "OSPath": "/etc"}},
        "none of the",
    ),
    "a row with invalid JSON": (
        {**VELOCIRAPTOR_ROW, "Line": '{"process_exec":'},
        "none of the columns",
    ),
    "a row with two events": (
        {**VELOCIRAPTOR_ROW, "A": falco(), "B": json.dumps(tetragon())},
        "several columns",
    ),
    "a CloudEvent with other data": ({"specversion": "1.0", "data": {"a": 1}}, "CloudEvent"),
    "a row with an incomplete event": (
        {**VELOCIRAPTOR_ROW, "Event": {"process_exec": {}}},
        "process_exec event without",
    ),
}


@pytest.mark.parametrize(("event", "reason"), UNPARSABLE.values(), ids=UNPARSABLE.keys())
def test_an_envelope_without_a_known_event_is_rejected_with_a_reason(
    event: Any, reason: str
) -> None:
    with pytest.raises(EventParseError, match=reason):
        normalise(event)
