"""The way in: from a process name and its arguments to an SshUse."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from app.domain.ssh import hosts
from app.domain.ssh.client import read_client
from app.domain.ssh.daemon import read_daemon
from app.domain.ssh.findings import find
from app.domain.ssh.masking import masked, sshpass_words
from app.domain.ssh.reading import Reading, Setting, basename
from app.domain.ssh.relatives import read_copy, read_dbclient, read_dropbear
from app.domain.ssh.use import SshUse

_Reader = Callable[[str, Sequence[str], int], Reading]
_READERS: Mapping[str, _Reader] = {
    "ssh": read_client,
    "slogin": read_client,
    "autossh": read_client,
    "sshd": read_daemon,
    "sshd-session": read_daemon,
    "sshd-auth": read_daemon,
    "scp": read_copy,
    "sftp": read_copy,
    "dbclient": read_dbclient,
    "dropbear": read_dropbear,
}
# These have a field of their own in SshUse.
_NOT_AN_OPTION = frozenset({"user", "port", "hostname", "proxyjump"})


def read_ssh(name: str, args: Sequence[str]) -> SshUse | None:
    """How an SSH process was used, or None when `name` is none of SSH's programs.

    `name` is the process name or a path to it, `args` its arguments with argv[0]. Behind `sshpass`
    the wrapped program is read. Never raises, takes time in proportion to the arguments; passwords
    are masked before anything is read.
    """
    program = basename(name)
    if program != "sshpass" and program not in _READERS:
        return None
    words = masked(args, name=name)
    start = 0
    passwords: list[Setting] = []
    while program == "sshpass":
        end, found = sshpass_words(words, start + 1)
        passwords += [
            Setting("", (word,) if offset else (word - 1, word)) for word, offset in found
        ]
        if end >= len(words):
            break
        start, program = end, basename(words[end])
    reader = _READERS.get(program)
    reading = Reading(program) if reader is None else reader(program, words, start + 1)
    reading.named = (start,) if args else ()
    known = {index for password in passwords for index in password.indexes}
    reading.passwords = passwords + [
        Setting("", (index,))
        for index, word in enumerate(words)
        if word != args[index] and index not in known
    ]
    return _use(reading)


def _use(reading: Reading) -> SshUse:
    host = reading.host
    named = reading.settings.get("hostname")
    destination, at = (host.value, host.indexes) if host else (None, ())
    if named is not None and reading.host is not None:
        # ssh_config(5), HostName: %h is the host on the line. This is where it really connects.
        destination = hosts.named_host(named.value, destination or "")
        at = tuple(sorted({*at, *named.indexes}))
    port = reading.value("port")
    return SshUse(
        role=reading.role,
        program=reading.program,
        destination=hosts.real_host(destination or "") or None,
        user=reading.value("user") or None,
        port=int(port) if port else None,
        jumps=reading.jumps,
        forwards=tuple(reading.forwards),
        identities=tuple(identity.value for identity in reading.identities),
        config_file=reading.config_file.value if reading.config_file else None,
        remote_command=reading.remote_command,
        options=MappingProxyType(
            {
                keyword: setting.value
                for keyword, setting in reading.settings.items()
                if keyword not in _NOT_AN_OPTION
            }
        ),
        background=reading.background is not None,
        no_command=reading.no_command is not None,
        no_op=reading.no_op.value if reading.no_op else None,
        destination_indexes=at,
        findings=find(reading),
    )
