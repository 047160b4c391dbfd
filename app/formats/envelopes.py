"""Envelopes that shippers and other programs put around an agent's event, and how to unwrap them.

An unwrapped event is converted as if the agent had sent it directly. If the event has no host name, the host
name of the envelope is used.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.domain.ecs_fields import Document, field_values, first_text
from app.formats.ecs_document import as_text, get_path
from app.formats.format import EventParseError, Format, RejectionKind
from app.formats.json_decode import decode_json

FormatLookup = Callable[[Mapping[str, object]], Format | None]
"""Function that returns the agent format of an object, or None if the object is not an agent event."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A kind of envelope.

    An envelope of this kind has at least one of `marker_keys` at its root. The envelope of log lines has no
    marker keys, so its `marker_keys` is empty. A marker key alone does not prove that an object is an
    envelope: `recognises` decides this. `unwrap` returns the inner event and the host name of the envelope.
    The host name is None if the envelope has none. `unwrap` may raise EventParseError.
    """

    marker_keys: tuple[str, ...]
    recognises: Callable[[Mapping[str, object]], bool]
    unwrap: Callable[[Mapping[str, object], FormatLookup], tuple[Document, str | None]]


def _unwrap_elasticsearch_hit(
    document: Mapping[str, object], find_format: FormatLookup
) -> tuple[Document, str | None]:
    """Unwrap an Elasticsearch hit, the form in which Kibana exports and copies events."""
    source = document["_source"]
    # Velociraptor can upload its rows to Elasticsearch, so a hit may contain such a row.
    if not isinstance(source, dict) or not (find_format(source) or _is_velociraptor_row(source)):
        raise EventParseError(
            "the _source of this Elasticsearch hit is not an event of a known agent",
            RejectionKind.UNKNOWN_FORMAT,
        )
    return source, None


def _is_cloud_event(document: Mapping[str, object]) -> bool:
    return "specversion" in document and isinstance(document.get("data"), dict)


def _unwrap_cloud_event(
    document: Mapping[str, object], find_format: FormatLookup
) -> tuple[Document, str | None]:
    """Unwrap a CloudEvent, one of the formats in which Falcosidekick forwards an alert."""
    data = document["data"]
    if not isinstance(data, dict) or not find_format(data):
        raise EventParseError(
            "the data of this CloudEvent is not an event of a known agent",
            RejectionKind.UNKNOWN_FORMAT,
        )
    # Falcosidekick sends the `uuid` of the alert as the `id` of the CloudEvent.
    return ({"uuid": document.get("id"), **data} if "output_fields" in data else data), None


_VELOCIRAPTOR_KEYS = frozenset({"Artifact", "FlowId", "_Source", "Hostname", "Fqdn"})


def _is_velociraptor_row(document: Mapping[str, object]) -> bool:
    return "ClientId" in document and not _VELOCIRAPTOR_KEYS.isdisjoint(document)


def _unwrap_velociraptor_row(
    row: Mapping[str, object], find_format: FormatLookup
) -> tuple[Document, str | None]:
    """Unwrap a row of a Velociraptor artifact.

    The row has extra columns for the name and the id of the client. The event can have one of these forms:

    - The keys of the event are columns of the row.
    - One column contains the complete event, as an object or as JSON text.
    - The columns `System` and `EventData` contain a Tracee event (see `_rebuild_tracee_event`).
    """
    host = as_text(row.get("Hostname")) or as_text(row.get("Fqdn"))
    if isinstance(get_path(row, "System", "EventName"), str):
        return _rebuild_tracee_event(row), host
    if find_format(row):
        return row, host
    events = [event for event in _embedded_objects(row.values()) if find_format(event)]
    if not events:
        raise EventParseError(
            "none of the columns of this Velociraptor row contains an event of a known agent",
            RejectionKind.UNKNOWN_FORMAT,
        )
    if len(events) > 1:
        raise EventParseError(
            "several columns of this Velociraptor row contain events; a row may contain one event",
            RejectionKind.OTHER,
        )
    return events[0], host


def _embedded_objects(values: Iterable[object]) -> Iterator[dict[str, object]]:
    """Yield the objects in `values`, including objects that are encoded as JSON text."""
    for value in values:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = decode_json(value.encode("utf-8", "surrogatepass"))
            except EventParseError:
                continue
        if isinstance(value, dict):
            yield value


def _rebuild_tracee_event(row: Mapping[str, object]) -> Document:
    """Rebuild a Tracee event from a row of Velociraptor's `Linux.Events.EBPF`, which embeds Tracee."""
    system, data = row["System"], row.get("EventData")
    names = {
        "timestamp": "Timestamp",
        "eventName": "EventName",
        "processName": "ProcessName",
        "processId": "ProcessID",
        "hostProcessId": "HostProcessID",
        "parentProcessId": "ParentProcessID",
        "hostParentProcessId": "HostParentProcessID",
        "userId": "UserID",
        "containerId": "ContainerID",
    }
    # MainHostname is the host's name. HostName is the host name inside the container of the process
    # (its UTS namespace).
    host = get_path(system, "MainHostname") or get_path(system, "HostName")
    return {
        **{tracee_name: get_path(system, column) for tracee_name, column in names.items()},
        "hostName": host,
        "args": data if isinstance(data, dict) else {},
    }


# Keys under which Filebeat, Vector, Fluent Bit and Docker send a log line, either as text or as a JSON
# object.
_LOG_LINE_KEYS = ("message", "log", "json")


def _is_log_line(document: Mapping[str, object]) -> bool:
    return any(key in document for key in _LOG_LINE_KEYS) and not field_values(
        document, "event.category"
    )


def _unwrap_log_line(
    document: Mapping[str, object], find_format: FormatLookup
) -> tuple[Document, str | None]:
    """Unwrap an event that a shipper has read from the log file of an agent.

    The shipper puts each log line into an envelope and adds ECS fields to the envelope. Without unwrapping,
    the envelope would be accepted as an ECS event, but no rule would match the envelope.

    If no log line in `document` contains an event of a known agent, `document` is returned unchanged.
    """
    outer_format = find_format(document)
    if outer_format is None or not outer_format.marker_keys:
        for event in _embedded_objects(document.get(key) for key in _LOG_LINE_KEYS):
            if find_format(event):
                return event, first_text(document, "host.name")
    return document, None


ENVELOPES = (
    Envelope(("_source",), lambda document: "_source" in document, _unwrap_elasticsearch_hit),
    Envelope(("specversion",), _is_cloud_event, _unwrap_cloud_event),
    Envelope(("ClientId",), _is_velociraptor_row, _unwrap_velociraptor_row),
    # This envelope has no marker keys. A marker key means that an event needs conversion. The process events
    # of Elastic Defend have the key `message` but need no conversion, so `message` is not a marker key.
    Envelope((), _is_log_line, _unwrap_log_line),
)
