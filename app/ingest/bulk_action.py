"""Action lines of a bulk body, such as `{"create": {"_index": "logs"}}`, and their response items."""

from dataclasses import dataclass, replace

import msgspec

_STATUS_OK = 200
_STATUS_CREATED = 201
_STATUS_BAD_REQUEST = 400
# The length of an action is limited because the response repeats its index name and id. Elasticsearch has
# lower limits for both.
_MAX_ACTION_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class BulkAction:
    """A parsed action line.

    `success_item` is a JSON object. The response contains this object if the event of the action is accepted.
    """

    verb: str
    index: str
    id: str | int | None = None
    success_item: bytes = b""

    def failure_item(self, reason: str) -> bytes:
        """Return the response item for a rejected event of this action, as JSON.

        `reason` says why the event is rejected.
        """
        error = {"type": "document_parsing_exception", "reason": reason}
        return _response_item(self, {"status": _STATUS_BAD_REQUEST, "error": error})

    def repetition_item(self) -> bytes:
        """Return the response item of the action, as JSON, if the event was already in quarantine.

        The status is that of a success. Otherwise Fluent Bit would send the request again without end.
        """
        return _response_item(self, {"status": _STATUS_OK, "result": "noop"})


def _response_item(action: BulkAction, result: dict[str, object]) -> bytes:
    result_fields: dict[str, object] = {"_index": action.index}
    if action.id is not None:
        result_fields["_id"] = str(action.id)
    return msgspec.json.encode({action.verb: result_fields | result})


class _ActionTarget(msgspec.Struct, rename={"index": "_index", "id": "_id"}):
    """The inner JSON object of an action line.

    In the action line `{"create": {"_index": "logs"}}`, the inner object is `{"_index": "logs"}`. All keys
    except `_index`, `_id` and `op_type` are ignored.
    """

    index: str | None = None
    id: str | int | None = None
    op_type: str | None = None


class _ActionLine(msgspec.Struct, forbid_unknown_fields=True):
    create: _ActionTarget | None = None
    index: _ActionTarget | None = None
    update: _ActionTarget | None = None
    delete: _ActionTarget | None = None


_decode_action_line = msgspec.json.Decoder(_ActionLine).decode
INDEXING_VERBS = ("create", "index")
_VERBS = (*INDEXING_VERBS, "update", "delete")
ACTION_PREFIXES = tuple(b'{"%s"' % verb.encode() for verb in _VERBS)


def decode_action(raw: bytes, index: str) -> BulkAction | None:
    """Return the action of a line, or None if the line is not a valid action."""
    if len(raw) > _MAX_ACTION_BYTES:
        return None
    try:
        line = _decode_action_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    targets = [(verb, target) for verb in _VERBS if (target := getattr(line, verb)) is not None]
    if len(targets) != 1:
        return None
    ((verb, target),) = targets
    if verb == "index" and target.op_type == "create":
        # `{"index": {"op_type": "create"}}` means the same as `{"create": {}}`. Elasticsearch answers both
        # actions with a `create` item.
        verb = "create"
    return with_success_item(BulkAction(verb, target.index or index, target.id))


def with_success_item(action: BulkAction) -> BulkAction:
    """Return a copy of `action` in which `success_item` is set."""
    return replace(
        action,
        success_item=_response_item(action, {"status": _STATUS_CREATED, "result": "created"}),
    )
