"""Promise 6: while the disk is full, events are refused; afterwards they are accepted again."""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from app.domain.principal import Role
from tests.factories import exec_event
from tests.processes import ServerProcess, running_server, wait_until
from tests.promises.ground import FULL_RUN, is_consistent, make_key, report, stored_event_ids

TIMES = 20 if FULL_RUN else 2
BATCH = 100
DISK_BYTES = 24 << 20


class Disk(Protocol):
    """A disk with the database in `folder`. Between `fill` and `clear`, files in `folder` cannot grow."""

    kind: str
    folder: Path

    def fill(self, server: ServerProcess) -> None: ...

    def clear(self, server: ServerProcess) -> None: ...


class FullTmpfs:
    kind = "a file system of its own, filled to the last byte"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, server: ServerProcess) -> None:
        with (
            contextlib.suppress(OSError),
            (self.folder / "filler").open("ab", buffering=0) as filler,
        ):
            size = 1 << 20
            while size:
                try:
                    filler.write(b"\0" * size)
                except OSError:
                    size //= 2

    def clear(self, server: ServerProcess) -> None:
        (self.folder / "filler").unlink()


class FileSizeLimit:
    """A limit on the file size of the server, for tests that may not mount (setrlimit(2), RLIMIT_FSIZE)."""

    kind = "files that may not grow"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, server: ServerProcess) -> None:
        self._limit(server, 4096)

    def clear(self, server: ServerProcess) -> None:
        self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server: ServerProcess, most: int) -> None:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    folder.mkdir()
    mount = shutil.which("mount")
    mounted = (
        mount is not None
        and os.geteuid() == 0
        and subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )
    if not mounted:
        yield FileSizeLimit(folder)
        return
    try:
        yield FullTmpfs(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_and_heals_without_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acknowledged = {"before"}
    with disk(tmp_path / "disk") as place:
        key = make_key(place.folder, "fleet")
        analyst = make_key(place.folder, "reader", Role.ANALYST)
        with running_server(place.folder) as server:
            assert server.send(key, exec_event(event_id="before"))[0] == 200
            for number in range(TIMES):
                names = [f"full-{number}-{n}" for n in range(BATCH)]
                events = [exec_event(event_id=name) for name in names]
                place.fill(server)
                for filling in count():  # until the free space inside existing files is used up
                    more = [f"filling-{number}-{filling}-{n}" for n in range(BATCH)]
                    refused = server.send(key, *(exec_event(event_id=name) for name in more))
                    if refused[0] != 200:
                        break
                    acknowledged.update(more)
                assert (refused[0], "retry-after" in refused[1]) == (503, True), refused
                wait_until(
                    lambda: server.request("GET", "/readyz")[0] == 503, "not ready", timeout=5
                )
                read = server.request("GET", "/api/v1/alerts", Authorization=f"Bearer {analyst}")
                assert read[0] == 200
                assert stored_event_ids(place.folder) == acknowledged, "a batch in part"
                place.clear(server)
                wait_until(lambda: server.request("GET", "/readyz")[0] == 200, "ready again")
                status, _, told = server.send(key, *events)
                assert (status, told["matched"]) == (200, BATCH)
                acknowledged.update(names)
            assert server.stop() == 0
        assert stored_event_ids(place.folder) == acknowledged
        assert is_consistent(place.folder)
        report(
            capsys,
            6,
            f"{TIMES} times full ({place.kind}): each batch of {BATCH} refused with 503, then stored "
            f"whole, {len(acknowledged):,} matches, none in part, no restart",
        )
