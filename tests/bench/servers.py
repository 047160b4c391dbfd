"""The servers that the benchmark measures, each in a separate process: Deckwatch and the peers."""

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
    """A running server: its port on 127.0.0.1 and its process id."""

    port: int
    pid: int

    def processor_seconds(self) -> float:
        """Return the processor time used so far, in seconds over all cores (proc(5), utime and stime)."""
        behind_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(behind_name[11]) + int(behind_name[12])) / _TICKS

    def memory(self, what: str) -> float:
        """Return resident memory in MB (proc(5)); `what` is VmHWM for the maximum, or VmRSS for now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == what:
                return int(value.split()[0]) * 1024 / 1e6
        raise NotMeasured(f"there is no {what} in /proc")


@contextmanager
def deckwatch(folder: Path, *, rules: int = 1) -> Iterator[Server]:
    """Run `deckwatch serve` with a database in `folder` and with `rules` rules."""
    own = folder / "rules"
    own.mkdir()
    write_rules(own, generate_rules(rules))
    with processes.running_server(folder, RULES=str(own)) as running_server:
        yield Server(running_server.port, running_server.process.pid)


def make_key(folder: Path, role: str) -> str:
    """Create an API key with the command line, as an operator does, and return it."""
    made = processes.run(folder, "key", "create", f"bench-{role}", "--role", role)
    if made.returncode:
        raise NotMeasured(f"no key: {made.stderr.strip()}")
    return made.stdout.strip()


@contextmanager
def peer(name: str) -> Iterator[Server]:
    """Run the application `name` of `peer_apps.py`."""
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
