"""Limits on the size and the duration of request bodies.

The limits apply before authentication, because FastAPI reads a JSON body before it resolves dependencies.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A client may take BODY_GRACE_SECONDS to send a body, plus one second for each MIN_BYTES_PER_SECOND bytes of
# the body. The limit applies to the time in which the server waits for data. The time in which the server
# processes data is not included. A slow server therefore does not cause a timeout.
BODY_GRACE_SECONDS = 30.0
MIN_BYTES_PER_SECOND = 4096


class BodyLimitMiddleware:
    """Middleware that limits the size and the duration of request bodies.

    If a body is too large, the status of the response is 413. If a body arrives too slowly, the status is
    408. `default_limit` is the maximum size in bytes. `limit_by_prefix` maps a path prefix, such as
    `/elastic`, to a different maximum size. The size of a compressed body is the size before decompression.
    `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        default_limit: int,
        limit_by_prefix: dict[str, int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._app = app
        self._default_limit = default_limit
        self._limit_by_prefix = limit_by_prefix
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        limits = (
            limit for prefix, limit in self._limit_by_prefix.items() if path.startswith(prefix)
        )
        body = _LimitedBody(
            receive, next(limits, self._default_limit), _content_length(scope), self._clock
        )
        await self._app(scope, body.receive, send)


def _content_length(scope: Scope) -> int:
    content_length = Headers(scope=scope).get("content-length", "")
    return int(content_length[:20]) if content_length.isascii() and content_length.isdigit() else 0


class _LimitedBody:
    """The body of one request. `receive` raises HTTPException if the body exceeds a limit.

    FastAPI responds with the status of the HTTPException, such as 413. The type of the exception matters:
    FastAPI turns other exceptions that occur while it reads a JSON body into status 400.
    """

    def __init__(
        self, receive: Receive, limit: int, content_length: int, clock: Callable[[], float]
    ) -> None:
        self._receive = receive
        self._limit = limit
        self._content_length = content_length
        self._clock = clock
        self._size = 0
        self._seconds_waited = 0.0
        self._ended = False

    async def receive(self) -> Message:
        if self._ended:  # only the message http.disconnect can follow
            return await self._receive()
        self._check(self._content_length)
        message = await self._receive_in_time()
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        self._check(self._size)
        return message

    def _check(self, size: int) -> None:
        if size > self._limit:
            message = (
                f"The body exceeds the limit of {self._limit} bytes; send less data per request."
            )
            raise HTTPException(413, message)

    async def _receive_in_time(self) -> Message:
        seconds_left = BODY_GRACE_SECONDS + self._size / MIN_BYTES_PER_SECOND - self._seconds_waited
        if seconds_left <= 0:
            raise _timeout_error()
        wait_started = self._clock()
        try:
            async with asyncio.timeout(seconds_left):
                return await self._receive()
        except TimeoutError:
            raise _timeout_error() from None
        finally:
            self._seconds_waited += self._clock() - wait_started


def _timeout_error() -> HTTPException:
    message = "The body arrived too slowly. Nothing was stored; send the request again."
    return HTTPException(408, message, {"Connection": "close"})
