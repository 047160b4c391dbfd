"""Security headers of every response, and the product header of the Elasticsearch endpoints."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def security_headers(*, https: bool) -> dict[str, str]:
    """Return the security headers of a response.

    If `https` is true, the headers include Strict-Transport-Security (RFC 6797).
    """
    return _SECURITY_HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})


def is_elastic_path(path: str) -> bool:
    """Return whether `path` belongs to the endpoints that imitate Elasticsearch."""
    return path == "/elastic" or path.startswith("/elastic/")


def elastic_product_header(path: str) -> dict[str, str]:
    """Return the header X-Elastic-Product if `path` belongs to the Elasticsearch endpoints, else no header.

    Elastic's clients reject every response without this header, even an error response.
    """
    return {"X-Elastic-Product": "Elasticsearch"} if is_elastic_path(path) else {}


class SecurityHeadersMiddleware:
    """Middleware that adds the headers of this module to every response.

    The middleware also adds `Cache-Control: no-store`. A browser could otherwise show a cached page after the
    user has signed out. If a response already has a Cache-Control header, the middleware keeps this header.
    For example, static files have their own Cache-Control header, so browsers may cache static files.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = security_headers(https=https)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (self._headers | elastic_product_header(scope["path"])).items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)
