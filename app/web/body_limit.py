"""How much a request may bring and how slowly, before anybody knows whose it is: FastAPI reads JSON first,
then asks who.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# How long a body may keep us waiting at least, in seconds, and how many bytes buy a second more. Only the
# time in which nothing was there to read counts, so that nobody is blamed for a server that is busy.
BODY_GRACE_SECONDS = 30.0
MIN_BYTES_PER_SECOND = 4096


class BodyLimitMiddleware:
    """`larger` gives the limit below paths where it is not `usual`; bytes as sent. 413 beyond them, 408
    for a body that comes too slowly. `clock` gives seconds that never go back.
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
    """One request's. What it raises is of Starlette's kind, which FastAPI lets through while it reads."""

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
        if self._ended:  # what is waited for now is that the other side hangs up
            return await self._receive()
        self._check(self._content_length)
        message = await self._receive_in_time()
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        self._check(self._size)
        return message

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise HTTPException(413, f"The body may have at most {self._limit} bytes.")

    async def _receive_in_time(self) -> Message:
        left = BODY_GRACE_SECONDS + self._size / MIN_BYTES_PER_SECOND - self._seconds_waited
        if left <= 0:
            raise _too_slow_error()
        before = self._clock()
        try:
            async with asyncio.timeout(left):
                return await self._receive()
        except TimeoutError:
            raise _too_slow_error() from None
        finally:
            self._seconds_waited += self._clock() - before


def _too_slow_error() -> HTTPException:
    words = "The body came too slowly; nothing of it was taken."
    return HTTPException(408, words, {"Connection": "close"})
