"""A replay of what has no end: matches at once, bounded memory, a bar, and ways to stop."""

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

from tests.factories import exec_event, quiet_event
from tests.processes import COMMAND, PATIENCE, environment

MATCH = json.dumps(exec_event()).encode() + b"\n"
QUIET = json.dumps(quiet_event()).encode() + b"\n"
REPLAY = (*COMMAND, "replay", "--rule", "ssh_in_container")


@contextmanager
def replaying(
    folder: Path, *words: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        [*REPLAY, *words],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        cwd=folder,
        env=environment(folder) | {"TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def feed(process: "subprocess.Popen[bytes]", body: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(body)
    process.stdin.flush()


def line_of_next_match(process: "subprocess.Popen[bytes]") -> int:
    assert process.stdout is not None
    found: int = json.loads(process.stdout.readline())["line"]
    return found


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "zstd"])
def test_matches_come_while_stdin_goes_on_and_ctrl_c_gives_the_summary_so_far(
    tmp_path: Path, packed: bool
) -> None:
    packer = zstandard.ZstdCompressor().compressobj()

    def part(body: bytes) -> bytes:
        if not packed:
            return body
        return packer.compress(body) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    with replaying(tmp_path, "-") as process:
        feed(process, part(QUIET + MATCH))
        assert line_of_next_match(process) == 2
        feed(process, part(b"broken\n\n" + MATCH[:50]))
        feed(process, part(MATCH[50:]))
        assert line_of_next_match(process) == 5
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr is not None
        said = process.stderr.read().decode().splitlines()
    assert said[0].startswith("stdin:3: not JSON")
    assert said[1] == "Interrupted; up to there:"
    assert said[2] == "4 events, 2 matches (0 suppressed), 1 rejected"


def test_a_reader_that_has_seen_enough_ends_a_replay_quietly(tmp_path: Path) -> None:
    (tmp_path / "many.json").write_bytes(MATCH * 2_000)
    for words, code in (((), 0), (("--fail-on-match",), 3)):
        with replaying(tmp_path, *words, "many.json") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert line_of_next_match(process) == 1
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(PATIENCE) == code


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(MATCH)
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*REPLAY, "a.json"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environment(tmp_path),
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == b"deckwatch: The matches cannot be written: No space left on device.\n"


def test_what_is_larger_than_memory_is_read_in_pieces(tmp_path: Path) -> None:
    """A gigabyte of lines and one line of a gigabyte, with less than that to live on."""
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    mebibyte = 1 << 20
    blank, junk = b"\n" * 64 + b" " * (mebibyte - 64), b"x" * mebibyte
    body = b"".join(
        packer.compress(part)
        for part in (MATCH, *[blank] * 1_024, MATCH, *[junk] * 1_024, b"\n", MATCH)
    )
    (tmp_path / "large.zst").write_bytes(body + packer.flush())
    limit = 900 * mebibyte
    ended = subprocess.run(
        [*REPLAY, "large.zst"],
        capture_output=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        timeout=PATIENCE * 3,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_AS, (limit, limit)),
    )
    said = ended.stderr.decode().splitlines()
    assert ended.returncode == 1, said
    assert said[0] == "large.zst:65539: larger than 4194304 bytes"
    assert said[1] == "4 events, 3 matches (0 suppressed), 1 rejected"
    lines = [json.loads(line)["line"] for line in ended.stdout.splitlines()]
    assert lines == [1, 65_538, 65_540]


def test_a_bar_shows_on_a_terminal_and_only_there(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    with replaying(tmp_path, "-", stderr=terminal) as process:
        os.close(terminal)
        feed(process, QUIET + MATCH + b"broken\n")
        assert line_of_next_match(process) == 2
        shown = seen(controller, until=b"3 events")
        assert b"stdin:3: not JSON" in shown
        assert b"stdin \x1b" in shown
        assert b" 1 matches" in shown
        assert process.communicate(timeout=PATIENCE)[0] == b""
        assert process.returncode == 1
    last = seen(controller).split(b"\x1b[2K")[-1]
    os.close(controller)
    assert last.startswith(b"3 events, 1 matches (0 suppressed), 1 rejected")


def test_on_one_terminal_for_both_a_match_is_a_line_of_its_own(tmp_path: Path) -> None:
    event = exec_event("ssh", "host", "\x1b[31m" + "x" * 200)
    (tmp_path / "a.json").write_bytes(json.dumps(event).encode() + b"\n")
    controller, terminal = pty.openpty()
    with replaying(tmp_path, "a.json", stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = seen(controller)
        assert process.wait(PATIENCE) == 0
    os.close(controller)
    start = shown.index(b'{"file": "a.json"')
    assert json.loads(shown[start : shown.index(b"\r\n", start)])["line"] == 1
    assert shown[:start].endswith(b"\x1b[2K")


def seen(controller: int, until: bytes | None = None) -> bytes:
    """What a terminal was sent, up to these bytes or to its end."""
    shown = b""
    while until is None or until not in shown:
        ready, _, _ = select.select([controller], [], [], PATIENCE)
        assert ready, shown
        try:
            shown += os.read(controller, 4_096)
        except OSError:  # how Linux says that nobody holds the other side any more
            break
    return shown
