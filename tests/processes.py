"""Deckwatch as others meet it: the command line in a process of its own, and a server to talk to."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-c", "from app.cli import main; main()")
ROOT = Path(__file__).parent.parent
PATIENCE = 60.0


def until(met: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until `met`; raises AssertionError naming `what` when that takes too long."""
    deadline = time.monotonic() + patience
    while not met():
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        # Another process cannot be waited for in any other way; the condition ends this, not the time.
        time.sleep(0.02)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Of a process whose database is in `folder`; `settings` are DECKWATCH_ variables without it."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("DECKWATCH_")}
    plain.pop("PYTHONDONTWRITEBYTECODE", None)
    told = {"DATABASE_URL": f"sqlite:///{folder / 'deckwatch.db'}", **settings}
    return {
        **plain,
        "PYTHONPATH": str(ROOT),
        # Without compiled modules each of many starts takes a second longer.
        "PYTHONPYCACHEPREFIX": str(ROOT / ".pytest_cache" / "compiled"),
        **{f"DECKWATCH_{name}": value for name, value in told.items()},
    }


def run(
    folder: Path, *words: str, stdin: bytes = b"", **settings: str
) -> "subprocess.CompletedProcess[str]":
    """`deckwatch words…`, run to its end in `folder`."""
    ended = subprocess.run(
        [*COMMAND, *words],
        input=stdin,
        capture_output=True,
        cwd=folder,
        env=environment(folder, **settings),
        timeout=PATIENCE,
        check=False,
    )
    out, err = ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
    return subprocess.CompletedProcess(ended.args, ended.returncode, out, err)


@dataclass
class Serving:
    """A server process. `send` and `get` raise OSError when it is gone."""

    process: "subprocess.Popen[bytes]"
    port: int

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def send(self, key: str, *events: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        """Post events; status, headers and the decoded answer."""
        body = b"\n".join(json.dumps(event).encode() for event in events)
        status, headers, told = self.ask(
            "POST", "/api/v1/events", body, Authorization=f"Bearer {key}"
        )
        return status, headers, json.loads(told)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(
    folder: Path,
    command: Sequence[str] = (*COMMAND, "serve", "--port", "0"),
    *,
    heard: list[str] | None = None,
    temporary: Path | None = None,
    **settings: str,
) -> Iterator[Serving]:
    """A server on a port that the system chooses; killed at the end unless it has ended before.

    `heard` gets the lines that it says, all of them once this has ended; `temporary` is where it may put
    its files.
    """
    own = environment(folder, **settings) | ({"TMPDIR": str(temporary)} if temporary else {})
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=own
    )
    lines = [] if heard is None else heard
    listener = threading.Thread(target=_go_on_listening, args=(process, lines), daemon=True)
    try:
        port = _port_of(process, lines)
        listener.start()
        yield Serving(process, port)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        if listener.ident is not None:
            listener.join(PATIENCE)
        if process.stdout:
            process.stdout.close()


def _go_on_listening(process: "subprocess.Popen[bytes]", heard: list[str]) -> None:
    """A server whose log nobody reads stands still once the pipe is full."""
    assert process.stdout is not None
    heard.extend(raw.decode(errors="replace") for raw in process.stdout)


def _port_of(process: "subprocess.Popen[bytes]", heard: list[str]) -> int:
    """As the server says once it listens; from there on callers queue until they are answered."""
    assert process.stdout is not None
    for raw in process.stdout:
        heard.append(line := raw.decode(errors="replace"))
        if line.startswith("Deckwatch ") and " on http://127.0.0.1:" in line:
            return int(line.rpartition(":")[2])
    raise AssertionError(f"no server came up: {''.join(heard)}")
