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

COMMAND = (sys.executable, "-c", "from app.cli.main import main; main()")
ROOT = Path(__file__).parent.parent
TIMEOUT_SECONDS = 60.0


def wait_until(
    condition: Callable[[], bool], description: str, timeout: float = TIMEOUT_SECONDS
) -> None:
    """Wait until `met`; raises AssertionError naming `what` when that takes too long."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {description}"
        # Another process cannot be waited for in any other way; the condition ends this, not the time.
        time.sleep(0.02)


def deckwatch_environment(folder: Path, **settings: str) -> dict[str, str]:
    """Of a process whose database is in `folder`; `settings` are DECKWATCH_ variables without it."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("DECKWATCH_")}
    plain.pop("PYTHONDONTWRITEBYTECODE", None)
    settings_with_database = {"DATABASE_URL": f"sqlite:///{folder / 'deckwatch.db'}", **settings}
    return {
        **plain,
        "PYTHONPATH": str(ROOT),
        # Without compiled modules each of many starts takes a second longer.
        "PYTHONPYCACHEPREFIX": str(ROOT / ".pytest_cache" / "compiled"),
        **{f"DECKWATCH_{name}": value for name, value in settings_with_database.items()},
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
        env=deckwatch_environment(folder, **settings),
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    out, err = ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
    return subprocess.CompletedProcess(ended.args, ended.returncode, out, err)


@dataclass
class ServerProcess:
    """A server process. `send` and `get` raise OSError when it is gone."""

    process: "subprocess.Popen[bytes]"
    port: int

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
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
        status, headers, settings_with_database = self.request(
            "POST", "/api/v1/events", body, Authorization=f"Bearer {key}"
        )
        return status, headers, json.loads(settings_with_database)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(TIMEOUT_SECONDS)


@contextmanager
def running_server(
    folder: Path,
    command: Sequence[str] = (*COMMAND, "serve", "--port", "0"),
    *,
    log_lines: list[str] | None = None,
    temp_dir: Path | None = None,
    **settings: str,
) -> Iterator[ServerProcess]:
    """A server on a port that the system chooses; killed at the end unless it has ended before.

    `heard` gets the lines that it says, all of them once this has ended; `temporary` is where it may put
    its files.
    """
    own = deckwatch_environment(folder, **settings) | (
        {"TMPDIR": str(temp_dir)} if temp_dir else {}
    )
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=own
    )
    lines = [] if log_lines is None else log_lines
    output_reader = threading.Thread(target=_drain_output, args=(process, lines), daemon=True)
    try:
        port = _wait_for_port(process, lines)
        output_reader.start()
        yield ServerProcess(process, port)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(TIMEOUT_SECONDS)
        if output_reader.ident is not None:
            output_reader.join(TIMEOUT_SECONDS)
        if process.stdout:
            process.stdout.close()


def _drain_output(process: "subprocess.Popen[bytes]", log_lines: list[str]) -> None:
    """A server whose log nobody reads stands still once the pipe is full."""
    assert process.stdout is not None
    log_lines.extend(raw.decode(errors="replace") for raw in process.stdout)


def _wait_for_port(process: "subprocess.Popen[bytes]", log_lines: list[str]) -> int:
    """As the server says once it listens; from there on callers queue until they are answered."""
    assert process.stdout is not None
    for raw in process.stdout:
        log_lines.append(line := raw.decode(errors="replace"))
        if line.startswith("Deckwatch ") and " on http://127.0.0.1:" in line:
            return int(line.rpartition(":")[2])
    raise AssertionError(f"no server came up: {''.join(log_lines)}")
