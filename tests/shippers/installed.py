"""Published shippers, downloaded once into `.pytest_cache`; nothing is installed on the machine."""

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
    """Download the packages of `package-lock.json`; return their folder, for `NODE_PATH`.

    Skips the test if Node.js or npm is missing.
    """
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
    """A program of a Debian package, the folder of its modules, and its environment.

    The environment names the folders of the shared libraries and has no proxy settings.
    """

    path: Path
    modules: Path
    environment_without_proxy: dict[str, str]


def debian_program(program: str, module: str, *packages: str) -> Program:
    """Return `program` from Debian packages; `module` is the name of a file in the folder of its modules.

    Packages that are not installed are unpacked into `.pytest_cache`. They are not installed, because
    rsyslog and syslog-ng conflict with each other and would replace the syslog daemon of the machine.
    Skips the test if apt is missing.
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
    # Each line is `Inst NAME …`. A third word in brackets is the version that is already installed.
    missing = [line[1] for line in lines if line[0] == "Inst" and not line[2].startswith("[")]
    if missing:
        _run(folder, "apt-get", "download", *missing)
    for package in sorted(folder.glob("*.deb")):
        _run(folder, "dpkg", "--extract", package.name, str(root))


@contextmanager
def _file_lock(name: str) -> Iterator[Path]:
    """Return the cache folder `name`, locked so that only one test process uses it at a time."""
    folder = _CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _run(folder: Path, *command: str) -> str:
    """Run a command and return its stdout.

    Skips the test if the command fails, because the usual cause is that the package servers are unreachable.
    """
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    if ended.returncode:
        pytest.skip(f"{' '.join(command[:2])} fails: {ended.stderr.strip()[-500:]}")
    return ended.stdout
