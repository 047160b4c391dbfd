"""Entry point of the SSH parser."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from app.domain.ssh import hosts
from app.domain.ssh.client import parse_client
from app.domain.ssh.findings import collect_findings
from app.domain.ssh.masking import mask_passwords, parse_sshpass_options
from app.domain.ssh.model import SshInvocation
from app.domain.ssh.parse_state import ArgumentValue, ParseState, basename
from app.domain.ssh.relatives import parse_dbclient, parse_dropbear, parse_scp_or_sftp
from app.domain.ssh.server import parse_server

_Parser = Callable[[str, Sequence[str], int], ParseState]
_PARSERS: Mapping[str, _Parser] = {
    "ssh": parse_client,
    "slogin": parse_client,
    "autossh": parse_client,
    "sshd": parse_server,
    "sshd-session": parse_server,
    "sshd-auth": parse_server,
    "scp": parse_scp_or_sftp,
    "sftp": parse_scp_or_sftp,
    "dbclient": parse_dbclient,
    "dropbear": parse_dropbear,
}
# SshInvocation has separate fields for these keywords, so `options` does not contain them.
_KEYWORDS_WITH_OWN_FIELD = frozenset({"user", "port", "hostname", "proxyjump"})


def parse_ssh(name: str, args: Sequence[str]) -> SshInvocation | None:
    """Return the parsed command line of an SSH program, or None if `name` is not an SSH program.

    `name` is the name or path of the program. `args` are the arguments including argv[0]. For `sshpass`, the
    result describes the program that sshpass runs. Passwords are masked before parsing. This function never
    raises, and its time is linear in the size of the arguments.
    """
    program = basename(name)
    if program != "sshpass" and program not in _PARSERS:
        return None
    words = mask_passwords(args, name=name)
    start = 0
    passwords: list[ArgumentValue] = []
    while program == "sshpass":
        end, found = parse_sshpass_options(words, start + 1)
        passwords += [
            ArgumentValue("", (word,) if offset else (word - 1, word)) for word, offset in found
        ]
        if end >= len(words):
            break
        start, program = end, basename(words[end])
    parser = _PARSERS.get(program)
    state = ParseState(program) if parser is None else parser(program, words, start + 1)
    state.program_indexes = (start,) if args else ()
    known = {index for password in passwords for index in password.arg_indexes}
    state.passwords = passwords + [
        ArgumentValue("", (index,))
        for index, word in enumerate(words)
        if word != args[index] and index not in known
    ]
    return _to_invocation(state)


def _to_invocation(state: ParseState) -> SshInvocation:
    host = state.host
    host_name = state.settings.get("hostname")
    destination, destination_indexes = (host.value, host.arg_indexes) if host else (None, ())
    if host_name is not None and state.host is not None:
        # ssh connects to the host in HostName. If HostName contains `%h`, ssh replaces `%h` by the host in
        # the arguments.
        destination = hosts.expand_host_name(host_name.value, destination or "")
        destination_indexes = tuple(sorted({*destination_indexes, *host_name.arg_indexes}))
    port = state.get_value("port")
    return SshInvocation(
        role=state.role,
        program=state.program,
        destination=hosts.normalize_host(destination or "") or None,
        user=state.get_value("user") or None,
        port=int(port) if port else None,
        jump_hosts=state.jump_hosts,
        forwards=tuple(state.forwards),
        identity_files=tuple(identity.value for identity in state.identity_files),
        config_file=state.config_file.value if state.config_file else None,
        remote_command=state.remote_command,
        options=MappingProxyType(
            {
                keyword: setting.value
                for keyword, setting in state.settings.items()
                if keyword not in _KEYWORDS_WITH_OWN_FIELD
            }
        ),
        background=state.background is not None,
        no_command=state.no_command is not None,
        no_op_option=state.no_op_option.value if state.no_op_option else None,
        destination_indexes=destination_indexes,
        findings=collect_findings(state),
    )
