"""Log lines: one a record, as JSON for programs or plain for a terminal. No value of a record, whoever
wrote it, can forge a line or hide in one.
"""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from enum import StrEnum
from typing import Any

from app.domain.text import escape_invisible, truncate

# A path or a message can be as long as a request's head.
MAX_VALUE_LENGTH = 4_000
# What a line begins with; everything else follows as name=value.
_LEADING_KEYS = ("time", "level", "event")


class LogFormat(StrEnum):
    """`auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


def configure_logging(log_format: LogFormat, *, quiet: bool = False) -> None:
    """Once a process: every logger writes to stderr from now on; `quiet` leaves only warnings."""
    import structlog  # not loaded for commands that log nothing

    as_json = log_format is LogFormat.JSON or (
        log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    stdlib = structlog.stdlib
    formatter = stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            stdlib.add_log_level,
            stdlib.add_logger_name,
            stdlib.ExtraAdder(),
            structlog.processors.CallsiteParameterAdder(
                {structlog.processors.CallsiteParameter.PROCESS}
            ),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        ],
        processors=[
            stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _escape_record,
            _json_line if as_json else _text_line,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("app").setLevel(logging.WARNING if quiet else logging.INFO)
    # Told by ours already, with the request it happened in.
    logging.getLogger("uvicorn.error").addFilter(_is_not_logged_by_us)


def _is_not_logged_by_us(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Exception in ASGI application")


def _escape_record(
    _logger: object, _method: str, record: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    return {name: _escape_value(name, value) for name, value in record.items()}


def _escape_value(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if name == "exception":
        # Its lines are for a person; a message among them may have an attacker's words.
        return "\n".join(map(escape_invisible, str(value).split("\n")))
    return escape_invisible(truncate(str(value), MAX_VALUE_LENGTH))


def _json_line(_logger: object, _method: str, record: Mapping[str, Any]) -> str:
    first = {name: record[name] for name in _LEADING_KEYS if name in record}
    return json.dumps(first | dict(record))


def _text_line(_logger: object, _method: str, record: Mapping[str, Any]) -> str:
    rest = dict(record)
    exception = rest.pop("exception", None)
    # The place in the program and the process are for programs; a person has one before them.
    for name in ("logger", "process"):
        rest.pop(name, None)
    begin = [str(rest.pop(name, "")) for name in _LEADING_KEYS]
    pairs = [
        f"{name}={_quote_if_needed(value)}" for name, value in rest.items() if value is not None
    ]
    lines = [" ".join([*begin, *pairs])]
    if exception is not None:
        # Behind a mark, so that none can be taken for a record.
        lines += (f"  | {line}" for line in str(exception).split("\n"))
    return "\n".join(lines)


def _quote_if_needed(value: object) -> str:
    text = str(value)
    plain = text and not any(sign in text for sign in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
