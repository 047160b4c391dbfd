"""What other programs put around an agent's event; the event inside is read as if it had come bare."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.domain.ecs import Document, first_text, values
from app.formats.agent_event import inside, text
from app.formats.format import Format, Unreadable
from app.formats.json_text import decode

Known = Callable[[Mapping[str, object]], Format | None]
"""The format of an object that is an agent's event, None for any other."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """`markers` are root keys of which a wrapped event has one; `recognises` looks closer.

    `unwrap` gives the event inside, and the host if the wrapping tells it; it may raise Unreadable.
    """

    markers: tuple[str, ...]
    recognises: Callable[[Mapping[str, object]], bool]
    unwrap: Callable[[Mapping[str, object], Known], tuple[Document, str | None]]


def _hit(document: Mapping[str, object], known: Known) -> tuple[Document, str | None]:
    """An Elasticsearch hit, as exports and copies from Kibana hold events."""
    source = document["_source"]
    # A hit may hold what Velociraptor uploaded.
    if not isinstance(source, dict) or not (known(source) or _is_row(source)):
        raise Unreadable("the _source of this Elasticsearch hit is not an event of a known agent")
    return source, None


def _is_cloud_event(document: Mapping[str, object]) -> bool:
    return "specversion" in document and isinstance(document.get("data"), dict)


def _cloud_event(document: Mapping[str, object], known: Known) -> tuple[Document, str | None]:
    """A CloudEvent, one of the forms in which Falcosidekick passes an alert on."""
    data = document["data"]
    if not isinstance(data, dict) or not known(data):
        raise Unreadable("the data of this CloudEvent is not an event of a known agent")
    # Its own id is Falcosidekick's for the alert.
    return ({"uuid": document.get("id"), **data} if "output_fields" in data else data), None


_ROW_KEYS = frozenset({"Artifact", "FlowId", "_Source", "Hostname", "Fqdn"})


def _is_row(document: Mapping[str, object]) -> bool:
    return "ClientId" in document and not _ROW_KEYS.isdisjoint(document)


def _row(row: Mapping[str, object], known: Known) -> tuple[Document, str | None]:
    """A row of a Velociraptor artifact, uploaded with the client's name and id as further columns.

    The event's own keys are the columns, or one column holds the event, as an object or as JSON text.
    """
    host = text(row.get("Hostname")) or text(row.get("Fqdn"))
    if isinstance(inside(row, "System", "EventName"), str):
        return _flat_tracee(row), host
    if known(row):
        return row, host
    found = [event for event in _events(row.values()) if known(event)]
    if not found:
        raise Unreadable(
            "none of the columns of this Velociraptor row is an event of a known agent"
        )
    if len(found) > 1:
        raise Unreadable(
            "several columns of this Velociraptor row are events; one row can hold one event"
        )
    return found[0], host


def _events(held: Iterable[object]) -> Iterator[dict[str, object]]:
    """The objects among what is held, also those that are there as JSON text."""
    for value in held:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = decode(value.encode("utf-8", "surrogatepass"))
            except Unreadable:
                continue
        if isinstance(value, dict):
            yield value


def _flat_tracee(row: Mapping[str, object]) -> Document:
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
    host = inside(system, "MainHostname") or inside(system, "HostName")
    return {
        **{ours: inside(system, theirs) for ours, theirs in names.items()},
        "hostName": host,
        "args": data if isinstance(data, dict) else {},
    }


# Where Filebeat, Vector, Fluent Bit and Docker put a line that they were not told to decode, or decoded.
_LINE_KEYS = ("message", "log", "json")


def _is_log_line(document: Mapping[str, object]) -> bool:
    return any(key in document for key in _LINE_KEYS) and not values(document, "event.category")


def _log_line(document: Mapping[str, object], known: Known) -> tuple[Document, str | None]:
    """A line of an agent's own log, in the envelope of the shipper that read it.

    The envelope can look like ECS, and would then match nothing, which nobody would notice.
    """
    around = known(document)
    if around is None or not around.markers:
        for event in _events(document.get(key) for key in _LINE_KEYS):
            if known(event):
                return event, first_text(document, "host.name")
    return document, None


WRAPPINGS = (
    Wrapping(("_source",), lambda document: "_source" in document, _hit),
    Wrapping(("specversion",), _is_cloud_event, _cloud_event),
    Wrapping(("ClientId",), _is_row, _row),
    # No marker: process events of Elastic Defend have a message too, and are told by their category.
    Wrapping((), _is_log_line, _log_line),
)
