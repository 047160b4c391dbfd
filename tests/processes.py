"""Helpers that run the command line and the server, each in a separate process."""

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
    """Wait until `condition` holds; raises AssertionError with `description` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"timeout after {timeout:.0f} s: {description}"
        # Another process does not notify this one about its state, so the condition is polled.
        time.sleep(0.02)


def deckwatch_environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a process whose database is in `folder`.

    `settings` are environment variables; the prefix `DECKWATCH_` is added to each name.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DECKWATCH_")}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    settings_with_database = {"DATABASE_URL": f"sqlite:///{folder / 'deckwatch.db'}", **settings}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        # Without compiled modules, each start of a process takes a second longer.
        "PYTHONPYCACHEPREFIX": str(ROOT / ".pytest_cache" / "compiled"),
        **{f"DECKWATCH_{name}": value for name, value in settings_with_database.items()},
    }


def run(
    folder: Path, *arguments: str, stdin: bytes = b"", **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run `deckwatch` with `arguments` in `folder` and wait for its end."""
    completed = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        cwd=folder,
        env=deckwatch_environment(folder, **settings),
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    out, err = completed.stdout.decode(errors="replace"), completed.stderr.decode(errors="replace")
    return subprocess.CompletedProcess(completed.args, completed.returncode, out, err)


@dataclass
class ServerProcess:
    """A server process. `request` and `send` raise OSError if the process has ended."""

    process: "subprocess.Popen[bytes]"
    port: int

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def send(self, key: str, *events: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        """Post events and return status, headers and the decoded response."""
        body = b"\n".join(json.dumps(event).encode() for event in events)
        status, headers, content = self.request(
            "POST", "/api/v1/events", body, Authorization=f"Bearer {key}"
        )
        return status, headers, json.loads(content)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait for the end of the process and return its exit code."""
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
    """Run a server on a free port, and kill it at the end if it is still running.

    The output of the server is appended to `log_lines`, which is complete after the `with` block. `temp_dir`
    is the folder for temporary files of the server.
    """
    environment = deckwatch_environment(folder, **settings) | (
        {"TMPDIR": str(temp_dir)} if temp_dir else {}
    )
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=environment
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
    """Read the output of the server, because the server blocks when the pipe is full."""
    assert process.stdout is not None
    log_lines.extend(raw.decode(errors="replace") for raw in process.stdout)


def _wait_for_port(process: "subprocess.Popen[bytes]", log_lines: list[str]) -> int:
    """Return the port from the startup message. The server accepts connections from then on."""
    assert process.stdout is not None
    for raw in process.stdout:
        log_lines.append(line := raw.decode(errors="replace"))
        if line.startswith("Deckwatch ") and " on http://127.0.0.1:" in line:
            return int(line.rpartition(":")[2])
    raise AssertionError(f"the server did not start: {''.join(log_lines)}")
