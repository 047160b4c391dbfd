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
GRACE_SECONDS = 30.0
BYTES_PER_SECOND = 4096


class BodyLimit:
    """`larger` gives the limit below paths where it is not `usual`; bytes as sent. 413 beyond them, 408
    for a body that comes too slowly. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        usual: int,
        larger: dict[str, int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._app = app
        self._usual = usual
        self._larger = larger
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        larger = (most for below, most in self._larger.items() if path.startswith(below))
        body = _Body(receive, next(larger, self._usual), _declared(scope), self._clock)
        await self._app(scope, body.receive, send)


def _declared(scope: Scope) -> int:
    declared = Headers(scope=scope).get("content-length", "")
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0


class _Body:
    """One request's. What it raises is of Starlette's kind, which FastAPI lets through while it reads."""

    def __init__(
        self, receive: Receive, limit: int, declared: int, clock: Callable[[], float]
    ) -> None:
        self._receive = receive
        self._limit = limit
        self._declared = declared
        self._clock = clock
        self._size = 0
        self._waited = 0.0
        self._ended = False

    async def receive(self) -> Message:
        if self._ended:  # what is waited for now is that the other side hangs up
            return await self._receive()
        self._check(self._declared)
        message = await self._next()
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        self._check(self._size)
        return message

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise HTTPException(413, f"The body may have at most {self._limit} bytes.")

    async def _next(self) -> Message:
        left = GRACE_SECONDS + self._size / BYTES_PER_SECOND - self._waited
        if left <= 0:
            raise _too_slow()
        before = self._clock()
        try:
            async with asyncio.timeout(left):
                return await self._receive()
        except TimeoutError:
            raise _too_slow() from None
        finally:
            self._waited += self._clock() - before


def _too_slow() -> HTTPException:
    words = "The body came too slowly; nothing of it was taken."
    return HTTPException(408, words, {"Connection": "close"})
