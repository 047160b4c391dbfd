"""Servers to measure, each a process of its own: Deckwatch through its command line, and the peers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import processes
from tests.bench.report import NotMeasured
from tests.bench.rules import generate_rules, write_rules
from tests.processes import ROOT

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens on 127.0.0.1, and which process it is."""

    port: int
    pid: int

    def processor_seconds(self) -> float:
        """What it has spent so far, on all cores (proc(5), utime and stime)."""
        behind_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(behind_name[11]) + int(behind_name[12])) / _TICKS

    def memory(self, what: str) -> float:
        """In MB: VmHWM, the most it ever had resident, or VmRSS, what it has now (proc(5))."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == what:
                return int(value.split()[0]) * 1024 / 1e6
        raise NotMeasured(f"there is no {what} in /proc")


@contextmanager
def deckwatch(folder: Path, *, rules: int = 1) -> Iterator[Server]:
    """`deckwatch serve` over a database in `folder`, deciding with `rules` rules."""
    own = folder / "rules"
    own.mkdir()
    write_rules(own, generate_rules(rules))
    with processes.running_server(folder, RULES=str(own)) as running_server:
        yield Server(running_server.port, running_server.process.pid)


def make_key(folder: Path, role: str) -> str:
    """A new key, made as an operator makes one."""
    made = processes.run(folder, "key", "create", f"bench-{role}", "--role", role)
    if made.returncode:
        raise NotMeasured(f"no key: {made.stderr.strip()}")
    return made.stdout.strip()


@contextmanager
def peer(name: str) -> Iterator[Server]:
    """One of `peer_apps`."""
    command = [sys.executable, "-m", "tests.bench.peer_apps", name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        told = process.stdout.readline()
        if not told:
            raise NotMeasured(f"the peer {name} did not start")
        yield Server(int(told), process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
