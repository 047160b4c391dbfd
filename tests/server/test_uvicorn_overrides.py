"""Overrides of uvicorn's internals in app/server.py: uvicorn's code is the version they were written for."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from app.server import CleanExitServer, LimitedHttpProtocol, ReusePortSupervisor

OVERRIDES = {
    CleanExitServer: uvicorn.Server,
    LimitedHttpProtocol: HttpToolsProtocol,
    ReusePortSupervisor: Multiprocess,
}

# Digests of uvicorn's code that is overridden or that the overrides depend on. If one differs after an
# upgrade, compare the new code with app/server.py, then replace the digest.
DIGESTS: dict[Callable[..., Any], str] = {
    uvicorn.Server.capture_signals: "e1bbcd4770d1c887",
    uvicorn.Server.handle_exit: "553276efa26e09ea",
    HttpToolsProtocol.connection_made: "6efb565ff3d36b91",
    HttpToolsProtocol.connection_lost: "c91a4c9bf2e29c55",
    HttpToolsProtocol.on_message_begin: "96d377fdc7c2baef",
    HttpToolsProtocol.on_headers_complete: "1ea8589acfad92d8",
    HttpToolsProtocol.on_body: "dba9c32aeba35b6a",
    HttpToolsProtocol.on_response_complete: "64e254f28e389e76",
    HttpToolsProtocol.resume_writing: "7844bbaa8cceb1ef",
    HttpToolsProtocol.data_received: "010a7ae59a5d3b1a",
    HttpToolsProtocol.send_400_response: "ae5a4a3782b646fd",
    RequestResponseCycle.receive: "8124ae006be71184",
    Multiprocess.__init__: "5e0f105cb4a381b5",
    Multiprocess.init_processes: "6c69f2a36bf55750",
    Multiprocess.keep_subprocess_alive: "3ba4980aa33bcecd",
    Multiprocess.restart_all: "438dec6d95be9fcd",
    Process.__init__: "a8c85f799aae5b2c",
    Process.terminate: "34bb463698e7c333",
}


def digest(function: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


@pytest.mark.parametrize("function", DIGESTS, ids=lambda function: function.__qualname__)
def test_the_code_of_uvicorn_is_unchanged(function: Callable[..., Any]) -> None:
    assert digest(function) == DIGESTS[function]


@pytest.mark.parametrize("ours", OVERRIDES, ids=lambda ours: ours.__name__)
def test_every_override_is_checked_and_has_the_parameters_of_uvicorn(ours: type) -> None:
    for name, method in vars(ours).items():
        original = getattr(OVERRIDES[ours], name, None)
        if inspect.isfunction(method) and inspect.isfunction(original) and name != "__init__":
            assert original in DIGESTS
            assert len(inspect.signature(method).parameters) == len(
                inspect.signature(original).parameters
            )
