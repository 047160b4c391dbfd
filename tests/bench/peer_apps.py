"""The peers of the server benchmarks: `python -m tests.bench.peer_apps NAME` runs one of them.

`sink` is a Starlette route that only reads the body. `pydantic` is a simple implementation with FastAPI,
Pydantic models of the event and the `eql` engine. Like Deckwatch, both run under uvicorn with uvloop and
httptools. Each prints its port as soon as it listens.
"""

import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.bench.peers import EqlPeer
from tests.bench.rules import generate_rules

RULES = 100


def sink() -> Starlette:
    async def read(request: Request) -> Response:
        return JSONResponse({"bytes": len(await request.body())})

    return Starlette(routes=[Route("/", read, methods=["POST"])])


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow")


class User(_Model):
    name: str | None = None
    id: int | str | None = None


class EntryMeta(_Model):
    type: str | None = None


class Process(_Model):
    """The process of the event, its parent, or one of its leaders."""

    pid: int | None = None
    entity_id: str | None = None
    name: str | None = None
    executable: str | None = None
    args: list[str] = []
    args_count: int | None = None
    command_line: str | None = None
    working_directory: str | None = None
    interactive: bool | None = None
    start: str | None = None
    user: User | None = None
    entry_meta: EntryMeta | None = None
    parent: "Process | None" = None
    group_leader: "Process | None" = None
    session_leader: "Process | None" = None
    entry_leader: "Process | None" = None


class System(_Model):
    type: str | None = None
    name: str | None = None
    version: str | None = None


class Host(_Model):
    id: str | None = None
    name: str | None = None
    hostname: str | None = None
    ip: list[str] = []
    os: System


class EventFields(_Model):
    id: str
    kind: str | None = None
    category: list[str]
    type: list[str]
    action: str | None = None


class Container(_Model):
    id: str | None = None
    name: str | None = None
    image: dict[str, Any] = {}


class ProcessEvent(_Model):
    timestamp: str = Field(alias="@timestamp")
    event: EventFields
    host: Host
    process: Process
    user: User | None = None
    container: Container | None = None


class Receipt(BaseModel):
    received: int
    matched: int


def pydantic() -> FastAPI:
    app = FastAPI()
    peer = EqlPeer(generate_rules(RULES))

    @app.post("/")
    async def take(events: list[ProcessEvent]) -> Receipt:
        before = peer.found
        for event in events:
            peer.decide(event.model_dump(by_alias=True))
        return Receipt(received=len(events), matched=peer.found - before)

    return app


def main(name: str) -> None:
    app = {"sink": sink, "pydantic": pydantic}[name]()
    bound = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(bound.getsockname()[1], flush=True)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main(sys.argv[1])
