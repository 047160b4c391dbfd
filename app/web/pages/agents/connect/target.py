"""Address and key of this deployment, in the formats that the configurations of agents need."""

import json
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from markupsafe import Markup

from app.web.components import ConnectStep

# Elasticsearch API keys and HTTP Basic both need a name beside the secret; Deckwatch ignores the name.
KEY_NAME = "deckwatch"


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """The base URL of Deckwatch (without a path) and an API key. The key has only URL-safe characters."""

    base_url: str
    key: str

    @property
    def events_url(self) -> str:
        return f"{self.base_url}/api/v1/events"

    @property
    def events_url_with_key(self) -> str:
        """The URL with the key as userinfo (RFC 3986), for agents that cannot set a header.

        Such agents send the userinfo as HTTP Basic credentials.
        """
        parts = self._parts
        return f"{parts.scheme}://{KEY_NAME}:{self.key}@{parts.netloc}/api/v1/events"

    @property
    def elastic_url(self) -> str:
        """The URL of the Elasticsearch endpoints.

        It always contains the port, because Elastic's programs use port 9200 by default.
        """
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
    """Quote a string for YAML, rsyslog, syslog-ng or Logstash. All of them accept an ASCII JSON string."""
    return json.dumps(text)


def connect_step(text: str, code: str | None = None) -> ConnectStep:
    return ConnectStep(str(Markup("<p>{}</p>").format(text)), code)
