"""Benchmark of the start: the time from the command to the first status 200 of `/readyz`.

The database needs no migration.
"""

import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests import processes
from tests.bench.load import TIMEOUT_SECONDS, answer, connect
from tests.bench.report import Measurement, NotMeasured, without_peer
from tests.bench.scale import BenchScale

STARTS = 7
_REQUEST = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def start_to_ready(scale: BenchScale) -> Measurement:
    """Measure the median of up to seven starts, after one start that fills the caches."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        if processes.run(folder, "db", "upgrade").returncode:
            raise NotMeasured("the database could not be made")
        times = [_start_once(folder) for _ in range(min(STARTS, scale.rounds) + 1)][1:]
    return without_peer(median(times), "s", f"from {min(times):.2f} to {max(times):.2f} s")


def _start_once(folder: Path) -> float:
    port = _free_port()
    # The `deckwatch` script of this Python environment, which operators use too.
    command = [str(Path(sys.executable).with_name("deckwatch")), "serve", "--port", str(port)]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=processes.deckwatch_environment(folder),
    )
    try:
        while not _ready(port):
            if process.poll() is not None:
                raise NotMeasured(f"the server ended with {process.returncode}")
            if time.perf_counter() > started + TIMEOUT_SECONDS:
                raise NotMeasured("the server did not become ready")
            time.sleep(0.005)
        return time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(TIMEOUT_SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _ready(port: int) -> bool:
    try:
        with closing(connect(port)) as connection:
            connection.sendall(_REQUEST)
            return answer(connection)[0] == 200
    except ConnectionRefusedError:
        return False
