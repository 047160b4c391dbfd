"""Identification of the SSH program that a process runs, even under another name.

The process name, the executable and argv[0] may differ: a copy of ssh can have any name, can run from memory
(memfd_create(2)) or through the dynamic loader (ld.so(8)), and multi-call programs such as dropbearmulti and
busybox contain SSH programs.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.domain.ssh.parse_state import basename

_DYNAMIC_LOADER = re.compile(r"(ld-linux|ld-musl|ld64|ld\.so)")
_LOADER_VALUE_OPTIONS = frozenset(
    {
        "--library-path",
        "--glibc-hwcaps-prepend",
        "--glibc-hwcaps-mask",
        "--inhibit-rpath",
        "--audit",
        "--preload",
        "--argv0",
    }
)
# With these options, the loader prints information and does not run the program.
_LOADER_NO_OP_OPTIONS = frozenset({"--list", "--verify", "--list-tunables", "--help", "--version"})
_MULTI_CALL_PROGRAMS = frozenset({"dropbearmulti", "busybox", "toybox"})
# dropbearmulti has its client under both names.
_APPLETS_OF_DROPBEAR = {
    "ssh": "dbclient",
    "dbclient": "dbclient",
    "dropbear": "dropbear",
    "scp": "scp",
}


@dataclass(frozen=True, slots=True)
class ProgramCall:
    """An SSH program in the arguments of a process.

    `program` is the base name of the SSH program. `start` is the index of its argv[0] in the arguments.
    `alias` is the name under which the program runs if this name hides the program, otherwise None.
    """

    program: str
    start: int = 0
    alias: str | None = None


def identify_program(
    name: str | None, executable: str | None, args: Sequence[str], known: Collection[str]
) -> ProgramCall | None:
    """Return the SSH program that a process runs, or None.

    `known` contains the base names of SSH programs. The function looks for a known name in this order: the
    process name, the base name of the executable, the base name of argv[0]. The first known name is used.
    """
    process_name = basename(name or "")
    if process_name in known:
        return ProgramCall(process_name)
    file_name = file_base_name(executable or "")
    own_names = (process_name, file_name, basename(args[0]) if args else "")
    if any(map(_DYNAMIC_LOADER.match, own_names)):
        return _program_of_loader(args, known, process_name or file_name)
    if not _MULTI_CALL_PROGRAMS.isdisjoint(own_names):
        return _applet(args, known)
    alias = process_name or file_name
    for candidate in own_names[1:]:
        if candidate in known:
            return ProgramCall(candidate, alias=alias if alias not in ("", candidate) else None)
    return None


def file_base_name(path: str) -> str:
    """Return the base name of an executable as the kernel reports it.

    The kernel appends ` (deleted)` to the path of a deleted file, and a file in memory has the path
    `/memfd:NAME` (proc_pid_exe(5), memfd_create(2)).
    """
    return basename(path.removesuffix(" (deleted)")).removeprefix("memfd:")


def _program_of_loader(
    args: Sequence[str], known: Collection[str], alias: str
) -> ProgramCall | None:
    index = 1
    while index < len(args) and args[index].startswith("--"):
        if args[index] in _LOADER_NO_OP_OPTIONS:
            return None
        index += 2 if args[index] in _LOADER_VALUE_OPTIONS else 1
    if index >= len(args) or (program := basename(args[index])) not in known:
        return None
    return ProgramCall(program, index, alias or None)


def _applet(args: Sequence[str], known: Collection[str]) -> ProgramCall | None:
    """Return the applet of a multi-call program; argv[0] or the argument after it names the applet."""
    for index, word in enumerate(args[:2]):
        applet = basename(word)
        if applet in _MULTI_CALL_PROGRAMS:
            continue
        if "dropbearmulti" in map(basename, args[:1]) or applet in ("dbclient", "dropbear"):
            applet = _APPLETS_OF_DROPBEAR.get(applet, applet)
        return ProgramCall(applet, index) if applet in known else None
    return None
