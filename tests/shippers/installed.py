"""Shippers as others publish them, fetched once into a folder of this checkout; nothing is installed."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.shippers.conftest import environment_without_proxy

HERE = Path(__file__).parent
_CACHE = ROOT / ".pytest_cache" / "shippers"
_PATIENCE = 300.0


def node_modules() -> Path:
    """What package-lock.json pins, with the folder to be named in NODE_PATH. Skips where npm is missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js and npm are missing; on Debian and Ubuntu: apt install npm")
    lock = HERE / "package-lock.json"
    with _file_lock("node") as folder:
        if not (folder / "done").exists() or (folder / "done").read_bytes() != lock.read_bytes():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, folder)
            _run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            shutil.copy(lock, folder / "done")
        return folder / "node_modules"


@dataclass(frozen=True)
class Program:
    """One of Debian's programs: with its own modules, and the environment in which it finds libraries."""

    path: Path
    modules: Path
    environment_without_proxy: dict[str, str]


def debian_program(program: str, module: str, *packages: str) -> Program:
    """`program` out of Debian's packages; `module` is a file in the folder of its modules.

    Packages that are not on this machine are unpacked beside the tests: rsyslog and syslog-ng cannot
    both be installed, and either would replace what logs here. Skips where there is no apt.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip(f"apt is missing, from whose packages {program} would come")
    with _file_lock(program) as folder:
        root = folder / "root"
        if not (folder / "done").exists():
            _unpack(folder, root, packages)
            (folder / "done").touch()
    places = [root, Path("/")]
    libraries = sorted({str(path.parent) for path in root.glob("**/*.so*")})
    own = environment_without_proxy() | {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    for place in places:
        path = place / "usr" / "sbin" / program
        modules = sorted((place / "usr" / "lib").glob(f"**/{module}"))
        if path.exists() and modules:
            return Program(path, modules[0].parent, own)
    raise AssertionError(f"{program} and {module} are in none of {packages}")


def _unpack(folder: Path, root: Path, packages: tuple[str, ...]) -> None:
    command = ("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
    lines = [line.split() for line in _run(folder, *command).splitlines()]
    # A third word in brackets is a version that is installed, and would be upgraded.
    missing = [line[1] for line in lines if line[0] == "Inst" and not line[2].startswith("[")]
    if missing:
        _run(folder, "apt-get", "download", *missing)
    for package in sorted(folder.glob("*.deb")):
        _run(folder, "dpkg", "--extract", package.name, str(root))


@contextmanager
def _file_lock(name: str) -> Iterator[Path]:
    """The folder of that name, for one test process at a time."""
    folder = _CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _run(folder: Path, *command: str) -> str:
    """What it printed. Skips when it failed: most often there is no way to where packages come from."""
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    if ended.returncode:
        pytest.skip(f"{' '.join(command[:2])} fails: {ended.stderr.strip()[-500:]}")
    return ended.stdout
