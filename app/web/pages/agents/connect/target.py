"""Where an agent is to send its events and with which key, in the forms that their settings want."""

import json
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from markupsafe import Markup

from app.web.components import ConnectStep

# Elasticsearch's API keys and Basic both want a name beside the secret; any will do.
KEY_NAME = "deckwatch"


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """`base_url` has no path; `key` is URL-safe text."""

    base_url: str
    key: str

    @property
    def events_url(self) -> str:
        return f"{self.base_url}/api/v1/events"

    @property
    def events_url_with_key(self) -> str:
        """For agents that can be told an address but no header (RFC 3986 userinfo, sent as Basic)."""
        parts = self._parts
        return f"{parts.scheme}://{KEY_NAME}:{self.key}@{parts.netloc}/api/v1/events"

    @property
    def elastic_url(self) -> str:
        """With its port: Elastic's programs take an address without one to mean 9200."""
        return f"{self._parts.scheme}://{self.host_in_url}:{self.port}/elastic"

    @property
    def api_key(self) -> str:
        return f"{KEY_NAME}:{self.key}"

    @property
    def https(self) -> bool:
        return self._parts.scheme == "https"

    @property
    def host(self) -> str:
        return self._parts.hostname or ""

    @property
    def host_in_url(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def port(self) -> int:
        return self._parts.port or (443 if self.https else 80)

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.base_url)


def quote_string(text: str) -> str:
    """A double-quoted string of YAML, TOML, rsyslog or syslog-ng: all read JSON's ASCII form."""
    return json.dumps(text)


def connect_step(text: str, code: str | None = None) -> ConnectStep:
    return ConnectStep(str(Markup("<p>{}</p>").format(text)), code)
