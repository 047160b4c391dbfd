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
    """Return the SSH program that a process runs by its name or its executable, or None.

    `known` contains the base names of SSH programs. The function looks for a known name in the process name,
    then in the base name of the executable. argv[0] does not count, because the caller of execve(2) chooses
    it.
    """
    process_name = basename(name or "")
    if process_name in known:
        return ProgramCall(process_name)
    file_name = file_base_name(executable or "")
    alias = process_name or file_name
    if _DYNAMIC_LOADER.match(process_name) or _DYNAMIC_LOADER.match(file_name):
        return _program_of_loader(args, known, alias)
    if not _MULTI_CALL_PROGRAMS.isdisjoint((process_name, file_name)):
        return _applet(args, known, alias)
    if file_name in known:
        return ProgramCall(file_name, alias=alias if alias != file_name else None)
    return None


def identify_by_argv0(
    args: Sequence[str], known: Collection[str], alias: str
) -> ProgramCall | None:
    """Return the SSH program that argv[0] names, or None."""
    program = basename(args[0]) if args else ""
    if program not in known:
        return None
    return ProgramCall(program, alias=alias if alias not in ("", program) else None)


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


def _applet(args: Sequence[str], known: Collection[str], alias: str) -> ProgramCall | None:
    """Return the applet of a multi-call program; argv[0] or the argument after it names the applet."""
    for index, word in enumerate(args[:2]):
        applet = basename(word)
        if applet in _MULTI_CALL_PROGRAMS:
            continue
        if "dropbearmulti" in (alias, *map(basename, args[:1])):
            applet = _APPLETS_OF_DROPBEAR.get(applet, applet)
        if applet not in known:
            return None
        is_own_name = alias in _MULTI_CALL_PROGRAMS or alias == applet
        return ProgramCall(applet, index, None if is_own_name else alias)
    return None


def masking_name(name: str | None, executable: str | None) -> str | None:
    """Return the name that decides how passwords are masked: `sshpass` if name or executable is sshpass."""
    if "sshpass" in (file_base_name(name or ""), file_base_name(executable or "")):
        return "sshpass"
    return name
