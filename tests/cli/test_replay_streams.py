"""`deckwatch replay` of streams: immediate matches, bounded memory, the progress bar, and ways to stop."""

import json
import os
import pty
import resource
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import zstandard

from tests.factories import benign_event, exec_event
from tests.processes import COMMAND, TIMEOUT_SECONDS, deckwatch_environment

MATCH = json.dumps(exec_event()).encode() + b"\n"
QUIET = json.dumps(benign_event()).encode() + b"\n"
REPLAY = (*COMMAND, "replay", "--rule", "ssh_in_container")


@contextmanager
def running_replay(
    folder: Path, *args: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        [*REPLAY, *args],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        cwd=folder,
        env=deckwatch_environment(folder) | {"TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def write_stdin(process: "subprocess.Popen[bytes]", body: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(body)
    process.stdin.flush()


def read_match_line(process: "subprocess.Popen[bytes]") -> int:
    assert process.stdout is not None
    found: int = json.loads(process.stdout.readline())["line"]
    return found


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "zstd"])
def test_stdin_is_streamed_and_ctrl_c_prints_the_summary_so_far(
    tmp_path: Path, compressed: bool
) -> None:
    compressor = zstandard.ZstdCompressor().compressobj()

    def part(body: bytes) -> bytes:
        if not compressed:
            return body
        return compressor.compress(body) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    with running_replay(tmp_path, "-") as process:
        write_stdin(process, part(QUIET + MATCH))
        assert read_match_line(process) == 2
        write_stdin(process, part(b"broken\n\n" + MATCH[:50]))
        write_stdin(process, part(MATCH[50:]))
        assert read_match_line(process) == 5
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_SECONDS) == 130
        assert process.stderr is not None
        stderr_lines = process.stderr.read().decode().splitlines()
    assert stderr_lines[0].startswith("stdin:3: not JSON")
    assert stderr_lines[1] == "Interrupted. Counts until then:"
    assert stderr_lines[2] == "4 events, 2 matches (0 suppressed), 1 rejected"


def test_a_closed_pipe_ends_a_replay_silently(tmp_path: Path) -> None:
    (tmp_path / "many.json").write_bytes(MATCH * 2_000)
    for args, code in (((), 0), (("--fail-on-match",), 3)):
        with running_replay(tmp_path, *args, "many.json") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert read_match_line(process) == 1
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(TIMEOUT_SECONDS) == code


def test_a_full_disk_gives_one_error_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(MATCH)
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*REPLAY, "a.json"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=deckwatch_environment(tmp_path),
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == b"deckwatch: The matches cannot be written: No space left on device.\n"


def test_a_file_larger_than_memory_is_streamed(tmp_path: Path) -> None:
    """The file has 1 GiB of blank lines and one line of 1 GiB; the process may use 900 MiB of memory."""
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    mebibyte = 1 << 20
    blank, junk = b"\n" * 64 + b" " * (mebibyte - 64), b"x" * mebibyte
    body = b"".join(
        compressor.compress(part)
        for part in (MATCH, *[blank] * 1_024, MATCH, *[junk] * 1_024, b"\n", MATCH)
    )
    (tmp_path / "large.zst").write_bytes(body + compressor.flush())
    limit = 900 * mebibyte
    ended = subprocess.run(
        [*REPLAY, "large.zst"],
        capture_output=True,
        cwd=tmp_path,
        env=deckwatch_environment(tmp_path),
        timeout=TIMEOUT_SECONDS * 3,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_AS, (limit, limit)),
    )
    stderr_lines = ended.stderr.decode().splitlines()
    assert ended.returncode == 1, stderr_lines
    assert stderr_lines[0] == "large.zst:65539: larger than 4194304 bytes"
    assert stderr_lines[1] == "4 events, 3 matches (0 suppressed), 1 rejected"
    lines = [json.loads(line)["line"] for line in ended.stdout.splitlines()]
    assert lines == [1, 65_538, 65_540]


def test_the_progress_bar_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    with running_replay(tmp_path, "-", stderr=terminal) as process:
        os.close(terminal)
        write_stdin(process, QUIET + MATCH + b"broken\n")
        assert read_match_line(process) == 2
        shown = read_terminal(controller, until=b"3 events")
        assert b"stdin:3: not JSON" in shown
        assert b"stdin \x1b" in shown
        assert b" 1 matches" in shown
        assert process.communicate(timeout=TIMEOUT_SECONDS)[0] == b""
        assert process.returncode == 1
    last = read_terminal(controller).split(b"\x1b[2K")[-1]
    os.close(controller)
    assert last.startswith(b"3 events, 1 matches (0 suppressed), 1 rejected")


def test_a_match_does_not_mix_with_the_progress_bar(tmp_path: Path) -> None:
    event = exec_event("ssh", "host", "\x1b[31m" + "x" * 200)
    (tmp_path / "a.json").write_bytes(json.dumps(event).encode() + b"\n")
    controller, terminal = pty.openpty()
    with running_replay(tmp_path, "a.json", stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = read_terminal(controller)
        assert process.wait(TIMEOUT_SECONDS) == 0
    os.close(controller)
    start = shown.index(b'{"file": "a.json"')
    assert json.loads(shown[start : shown.index(b"\r\n", start)])["line"] == 1
    assert shown[:start].endswith(b"\x1b[2K")


def read_terminal(controller: int, until: bytes | None = None) -> bytes:
    """Return the output to a terminal until it contains `until`, or until the terminal is closed."""
    shown = b""
    while until is None or until not in shown:
        ready, _, _ = select.select([controller], [], [], TIMEOUT_SECONDS)
        assert ready, shown
        try:
            shown += os.read(controller, 4_096)
        except OSError:  # Linux reports this error after all processes have closed the terminal
            break
    return shown
