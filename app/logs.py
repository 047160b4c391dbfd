"""Logging with one line per record: JSON for programs, or text for a terminal.

Values are escaped. Otherwise text from a request or an event could forge or hide a log line.
"""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from enum import StrEnum
from typing import Any

from app.domain.text import escape_invisible, truncate

# Maximum number of characters of a value in a log line; longer values are truncated. Without the
# limit, a request could cause very long log lines, because the path of a request may have almost 64 KiB.
# Tracebacks are not truncated.
MAX_VALUE_LENGTH = 4_000
# Keys at the beginning of each line. In the text format, their values are printed without the key names,
# and the other keys follow as name=value.
_LEADING_KEYS = ("time", "level", "event")


class LogFormat(StrEnum):
    """Format of log lines; `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


def configure_logging(log_format: LogFormat, *, quiet: bool = False) -> None:
    """Make all loggers of this process write to stderr. If `quiet` is true, log only warnings and errors."""
    import structlog  # imported here, so that commands that log nothing start faster

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
    # uvicorn's log record of an unhandled exception is dropped, because app.web.errors logs the same
    # exception with the id and the route of the request.
    logging.getLogger("uvicorn.error").addFilter(_is_not_application_exception)


def _is_not_application_exception(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Exception in ASGI application")


def _escape_record(
    _logger: object, _method: str, record: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    return {name: _escape_value(name, value) for name, value in record.items()}


def _escape_value(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if name == "exception":
        # A traceback keeps its line breaks. Each line is escaped, because it may contain text from a request.
        return "\n".join(map(escape_invisible, str(value).split("\n")))
    return escape_invisible(truncate(str(value), MAX_VALUE_LENGTH))


def _json_line(_logger: object, _method: str, record: Mapping[str, Any]) -> str:
    leading = {name: record[name] for name in _LEADING_KEYS if name in record}
    return json.dumps(leading | dict(record))


def _text_line(_logger: object, _method: str, record: Mapping[str, Any]) -> str:
    rest = dict(record)
    exception = rest.pop("exception", None)
    # The logger's name and the process id are of little use on a terminal.
    for name in ("logger", "process"):
        rest.pop(name, None)
    leading = [str(rest.pop(name, "")) for name in _LEADING_KEYS]
    pairs = [
        f"{name}={_quote_if_needed(value)}" for name, value in rest.items() if value is not None
    ]
    lines = [" ".join([*leading, *pairs])]
    if exception is not None:
        # The prefix distinguishes the lines of a traceback from log records.
        lines += (f"  | {line}" for line in str(exception).split("\n"))
    return "\n".join(lines)


def _quote_if_needed(value: object) -> str:
    text = str(value)
    needs_quotes = not text or any(character in text for character in ' "=')
    return json.dumps(text, ensure_ascii=False) if needs_quotes else text
