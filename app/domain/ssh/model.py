"""What an SSH process was asked to do, as values; reading it is left to others."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class SshRole(StrEnum):
    """What an SSH process was, in the words an analyst sees.

    - client: asks another host for a session, a command or a copy.
    - persistent tunnel: `autossh`, or a client that carries forwards and was told to stay in the
      background (`-f`) or to run nothing (`-N`); both are in ssh(1), OPTIONS.
    - daemon: a listener (`sshd`, `dropbear`).
    - inbound session: one connection that came in (a title as `sshd: erp@pts/0`, `sshd -i`,
      `sshd-session`, the far side of `scp`).
    - no-op: prints something and connects to nothing (`-V`, `-G`, `-Q`, `sshd -t`).
    """

    CLIENT = "client"
    PERSISTENT_TUNNEL = "persistent tunnel"
    DAEMON = "daemon"
    INBOUND_SESSION = "inbound session"
    NO_OP = "no-op"


class ForwardKind(StrEnum):
    """Who listens and where the traffic goes; ssh(1), options -L, -R, -D, -W and -w."""

    LOCAL = "local"
    REMOTE = "remote"
    DYNAMIC = "dynamic"
    REMOTE_DYNAMIC = "remote dynamic"
    STDIO = "stdio"
    TUN = "tun"


class FindingKind(StrEnum):
    """The closed set of things worth a sentence; findings.py holds one line for each."""

    REMOTE_FORWARD = "remote forward"
    REMOTE_DYNAMIC_FORWARD = "remote dynamic forward"
    LOCAL_FORWARD = "local forward"
    DYNAMIC_FORWARD = "dynamic forward"
    STDIO_FORWARD = "stdio forward"
    TUN_DEVICE = "tun device"
    GATEWAY_PORTS = "gateway ports"
    AGENT_FORWARDING = "agent forwarding"
    X11_FORWARDING = "x11 forwarding"
    HOST_KEY_CHECKING_OFF = "host key checking off"
    HOST_KEY_ACCEPT_NEW = "host key accept new"
    KNOWN_HOSTS_DISCARDED = "known hosts discarded"
    PROXY_COMMAND = "proxy command"
    JUMP_HOST = "jump host"
    LOCAL_COMMAND = "local command"
    KNOWN_HOSTS_COMMAND = "known hosts command"
    LOADED_LIBRARY = "loaded library"
    HELPER_PROGRAM = "helper program"
    DISGUISED_DESTINATION = "disguised destination"
    CONFIG_FILE = "config file"
    IDENTITY_FILE = "identity file"
    CONNECTION_SHARING = "connection sharing"
    LOG_FILE = "log file"
    BACKGROUND = "background"
    NO_COMMAND = "no command"
    AUTO_RECONNECT = "auto reconnect"
    REMOTE_COMMAND = "remote command"
    BATCH_MODE = "batch mode"
    PASSWORD_ARGUMENT = "password argument"  # noqa: S105 - a kind of finding, no password
    DAEMON_STARTED = "daemon started"
    DAEMON_PORT = "daemon port"
    DAEMON_CONFIG = "daemon config"
    DAEMON_HOST_KEY = "daemon host key"
    DAEMON_OVERRIDE = "daemon override"
    DAEMON_FORWARDING = "daemon forwarding"
    DAEMON_COMMAND = "daemon command"
    ROOT_LOGIN = "root login"
    WEAK_AUTHENTICATION = "weak authentication"
    AUTHORIZED_KEYS = "authorized keys"
    DEBUG_MODE = "debug mode"
    FOREGROUND = "foreground"
    INETD = "inetd"
    INBOUND_SESSION = "inbound session"
    NO_CONNECTION = "no connection"
    INVALID_ARGUMENTS = "invalid arguments"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One jump host of `-J` or `ProxyJump`; ssh(1), option -J.

    `user` and `port` are None where the line leaves them to the configuration.
    """

    host: str
    user: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Forward:
    """One forwarding of ports, sockets or a tun device; ssh(1), options -L, -R, -D, -W and -w.

    `listen` is where connections are taken (`8080`, `*:8080`, `[::1]:8080`, `/run/x.sock`; None
    for stdio, the local device for tun), `target` where they go (`db:5432`, `/run/x.sock`; None for
    the two dynamic kinds, the remote device for tun). Local and dynamic forwards listen here, the
    two remote kinds on the far side. IPv6 hosts are in brackets. `arg_indexes` point into the
    arguments, argv[0] being 0.
    """

    kind: ForwardKind
    listen: str | None
    target: str | None
    arg_indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing an analyst should know, in one plain sentence.

    `short` labels a chip; `risk` is added to the rule's risk (points of 100, may be negative);
    `arg_indexes` name the arguments that caused it, ascending, argv[0] being 0. Text from the
    arguments is quoted as it came, passwords masked: escape it before showing it.
    """

    kind: FindingKind
    message: str
    arg_indexes: tuple[int, ...]
    risk: int
    label: str


@dataclass(frozen=True, slots=True)
class SshInvocation:
    """How one SSH process was used, as far as its arguments tell. Passwords in it are masked.

    - `program`: `ssh`, `sshd`, `autossh`, …: the base name it ran under; behind `sshpass`, the
      program that was wrapped.
    - `destination`: the host alone, in lower case as OpenSSH makes it, brackets of IPv6 removed;
      where `-o HostName=` names another machine, that machine. None for daemons, or when the line
      has none.
    - `user`: the account asked for; for an inbound session, the account that came in.
    - `port`: None where the line leaves it to the configuration. For a daemon the first port.
    - `jumps`: in the order they are passed through.
    - `identities`: `-i` and `IdentityFile`, as typed.
    - `config_file`: `-F` for clients, `-f` for sshd.
    - `remote_command`: the words after the destination; with `-s` the first names a subsystem.
    - `options`: effective value of every other setting that the arguments made, by `-o` or by the
      letter that stands for it; names are ssh_config(5) or sshd_config(5) keywords in lower case.
    - `background`: `-f`, `ForkAfterAuthentication`. `no_command`: `-N`, `SessionType none`, `-W`.
    - `no_op`: for a no-op, the option that made it one (`-V`, `-O check`); None otherwise.
    - `destination_indexes`: the arguments that name the destination.
    """

    role: SshRole
    program: str
    destination: str | None
    user: str | None
    port: int | None
    jump_hosts: tuple[HostSpec, ...]
    forwards: tuple[Forward, ...]
    identity_files: tuple[str, ...]
    config_file: str | None
    remote_command: tuple[str, ...]
    options: Mapping[str, str]
    background: bool
    no_command: bool
    no_op_option: str | None
    destination_indexes: tuple[int, ...]
    findings: tuple[Finding, ...]

    def has_finding(self, kind: FindingKind) -> bool:
        """Whether any finding is of this kind."""
        return any(finding.kind is kind for finding in self.findings)
