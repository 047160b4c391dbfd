"""What other programs put around an agent's event; the event inside is read as if it had come bare."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.domain.ecs_fields import Document, field_values, first_text
from app.formats.ecs_document import as_text, get_path
from app.formats.format import EventParseError, Format, RejectionKind
from app.formats.json_decode import decode_json

FormatLookup = Callable[[Mapping[str, object]], Format | None]
"""The format of an object that is an agent's event, None for any other."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """`markers` are root keys of which a wrapped event has one; `recognises` looks closer.

    `unwrap` gives the event inside, and the host if the wrapping tells it; it may raise EventParseError.
    """

    marker_keys: tuple[str, ...]
    recognises: Callable[[Mapping[str, object]], bool]
    unwrap: Callable[[Mapping[str, object], FormatLookup], tuple[Document, str | None]]


def _unwrap_elasticsearch_hit(
    document: Mapping[str, object], find_format: FormatLookup
) -> tuple[Document, str | None]:
    """An Elasticsearch hit, as exports and copies from Kibana hold events."""
    source = document["_source"]
    # A hit may hold what Velociraptor uploaded.
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
    """A CloudEvent, one of the forms in which Falcosidekick passes an alert on."""
    data = document["data"]
    if not isinstance(data, dict) or not find_format(data):
        raise EventParseError(
            "the data of this CloudEvent is not an event of a known agent",
            RejectionKind.UNKNOWN_FORMAT,
        )
    # Its own id is Falcosidekick's for the alert.
    return ({"uuid": document.get("id"), **data} if "output_fields" in data else data), None


_VELOCIRAPTOR_KEYS = frozenset({"Artifact", "FlowId", "_Source", "Hostname", "Fqdn"})


def _is_velociraptor_row(document: Mapping[str, object]) -> bool:
    return "ClientId" in document and not _VELOCIRAPTOR_KEYS.isdisjoint(document)


def _unwrap_velociraptor_row(
    row: Mapping[str, object], find_format: FormatLookup
) -> tuple[Document, str | None]:
    """A row of a Velociraptor artifact, uploaded with the client's name and id as further columns.

    The event's own keys are the columns, or one column holds the event, as an object or as JSON text.
    """
    host = as_text(row.get("Hostname")) or as_text(row.get("Fqdn"))
    if isinstance(get_path(row, "System", "EventName"), str):
        return _rebuild_tracee_event(row), host
    if find_format(row):
        return row, host
    events = [event for event in _embedded_objects(row.values()) if find_format(event)]
    if not events:
        raise EventParseError(
            "none of the columns of this Velociraptor row is an event of a known agent",
            RejectionKind.UNKNOWN_FORMAT,
        )
    if len(events) > 1:
        raise EventParseError(
            "several columns of this Velociraptor row are events; one row can hold one event",
            RejectionKind.OTHER,
        )
    return events[0], host


def _embedded_objects(candidates: Iterable[object]) -> Iterator[dict[str, object]]:
    """The objects among what is held, also those that are there as JSON text."""
    for value in candidates:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = decode_json(value.encode("utf-8", "surrogatepass"))
            except EventParseError:
                continue
        if isinstance(value, dict):
            yield value


def _rebuild_tracee_event(row: Mapping[str, object]) -> Document:
    """What `Linux.Events.EBPF` makes of Tracee's events, which Velociraptor has inside, put back."""
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
    # MainHostname is the machine's name, HostName the one that the process itself would see.
    host = get_path(system, "MainHostname") or get_path(system, "HostName")
    return {
        **{tracee_name: get_path(system, column) for tracee_name, column in names.items()},
        "hostName": host,
        "args": data if isinstance(data, dict) else {},
    }


# Where Filebeat, Vector, Fluent Bit and Docker put a line that they were not told to decode, or decoded.
_LOG_LINE_KEYS = ("message", "log", "json")


def _is_log_line(document: Mapping[str, object]) -> bool:
    return any(key in document for key in _LOG_LINE_KEYS) and not field_values(
        document, "event.category"
    )


def _unwrap_log_line(
    document: Mapping[str, object], find_format: FormatLookup
) -> tuple[Document, str | None]:
    """A line of an agent's own log, in the envelope of the shipper that read it.

    The envelope can look like ECS, and would then match nothing, which nobody would notice.
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
    # No marker: process events of Elastic Defend have a message too, and are told by their category.
    Envelope((), _is_log_line, _unwrap_log_line),
)
