"""How much a request may bring, before anybody knows whose it is: FastAPI reads JSON first, then asks who."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """`larger` gives the paths whose limit is not `usual`; limits are bytes as sent. 413 beyond them."""

    def __init__(self, app: ASGIApp, *, usual: int, larger: dict[str, int]) -> None:
        self._app = app
        self._usual = usual
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._usual)
        size = 0

        async def receive_within() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                # Of Starlette's kind, which FastAPI lets through while it reads a body.
                raise HTTPException(413, f"The body may have at most {limit} bytes.")
            return message

        await self._app(scope, receive_within, send)
