"""Entry point of the SSH parser."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from app.domain.ssh import hosts
from app.domain.ssh.client import parse_client
from app.domain.ssh.findings import collect_findings
from app.domain.ssh.init_script import parse_init_script
from app.domain.ssh.keyscan import parse_keyscan
from app.domain.ssh.masking import mask_passwords, parse_sshpass_options
from app.domain.ssh.model import SshInvocation
from app.domain.ssh.parse_state import ArgumentValue, ParseState, basename
from app.domain.ssh.plink import parse_plink
from app.domain.ssh.program import identify_by_argv0, identify_program, masking_name
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
    "plink": parse_plink,
    "ssh-keyscan": parse_keyscan,
}
_KNOWN_PROGRAMS = frozenset({*_PARSERS, "sshpass"})
# SshInvocation has separate fields for these keywords, so `options` does not contain them.
_KEYWORDS_WITH_OWN_FIELD = frozenset({"user", "port", "hostname", "proxyjump"})


# Programs that run scripts with any arguments.
_INTERPRETER = re.compile(r"(python|perl|ruby|node|php|java|lua|bash|dash|zsh|sh)[0-9.]*")


def parse_ssh(
    name: str | None, args: Sequence[str], *, executable: str | None = None
) -> SshInvocation | None:
    """Return the parsed command line of an SSH program, or None if the process runs no SSH program.

    `name` is the process name or its path, `args` the arguments including argv[0]. The program is found even
    if it runs under another name (see `identify_program`), or if only its arguments are those of OpenSSH. For
    `sshpass`, the program that it runs is parsed. Never raises; linear in the size of the arguments.
    Passwords are masked before parsing.
    """
    words = mask_passwords(args, name=masking_name(name, executable))
    script = parse_init_script(executable, words)
    if script is not None:
        script.program_indexes = (1,)
        return _to_invocation(script)
    call = identify_program(name, executable, words, _KNOWN_PROGRAMS)
    alias = basename(name or executable or "")
    state = _parse_by_arguments(alias, words) if call is None else None
    if state is None:
        call = call or identify_by_argv0(words, _KNOWN_PROGRAMS, alias)
    if call is None:
        if state is None:
            return None
        start = 0
        passwords: list[ArgumentValue] = []
    else:
        program, start = call.program, call.start
        passwords = []
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
        state.alias = call.alias
        if start == 0 and state.error is not None and program not in ("ssh", "autossh"):
            # A renamed ssh may have the name of another SSH program, such as ssh-keyscan.
            state = _parse_by_arguments(basename(name or ""), words) or state
    state.program_indexes = (start,) if args else ()
    known = {index for password in passwords for index in password.arg_indexes}
    state.passwords = passwords + [
        ArgumentValue("", (index,))
        for index, word in enumerate(words)
        if word != args[index] and index not in known
    ]
    return _to_invocation(state)


def _parse_by_arguments(alias: str, args: Sequence[str]) -> ParseState | None:
    """Parse the arguments of a renamed ssh or sshd, or return None if they are not those of OpenSSH.

    The arguments must be valid for ssh and contain a named option (`-oBatchMode=yes`), a forward, or
    `user@host` together with a key file, a port or a jump host. For sshd, they must be valid and contain
    `-D` together with two of the options for the configuration, the host key and the port.
    """
    if not alias or _INTERPRETER.fullmatch(alias):
        return None
    client = parse_client("ssh", args)
    if client.error is None and client.host is not None and _is_plausible_client(client, args):
        client.alias = alias
        return client
    server = parse_server("sshd", args)
    if server.error is None and server.foreground is not None:
        given = (server.config_file, server.settings.get("hostkey"), server.ports)
        if sum(map(bool, given)) >= 2:
            server.alias = alias
            return server
    return None


def _is_plausible_client(state: ParseState, args: Sequence[str]) -> bool:
    host = hosts.normalize_host(state.host.value) if state.host else ""
    if ":" in host and not hosts.is_ipv6(host):
        return False  # user@host:password, or image@sha256:digest
    if any(file.value.startswith("-") for file in state.identity_files):
        return False  # -i is a flag of another program
    indexes = {index for setting in state.settings.values() for index in setting.arg_indexes}
    if state.forwards or any(args[index].startswith("-o") for index in indexes):
        return True
    return "user" in state.settings and bool(
        state.identity_files or state.jump_hosts or "port" in state.settings
    )


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
        alias=state.alias,
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
        more_targets=tuple(target.value for target in state.more_targets),
        target_file=state.target_file.value if state.target_file else None,
        script=state.script,
        destination_indexes=destination_indexes,
        findings=collect_findings(state),
    )
