"""The result of parsing an SSH command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class SshRole(StrEnum):
    """The role of an SSH process. Pages display these values.

    - client: opens a session, runs a remote command or copies files.
    - persistent tunnel: `autossh`, or a client such as `ssh -N -R 8080:db:80 web`. The client has a forward
      and the option `-f` (run in the background) or `-N` (run no remote command). A stdio forward (`-W`)
      is not enough.
    - daemon: a listening SSH server (`sshd`, `dropbear`).
    - inbound session: the server side of one connection (`sshd-session`, `sshd -i`, `scp -t`, or a process
      title such as `sshd: erp@pts/0`).
    - no-op: opens no connection. The process only prints information (`-V`, `-G`, `-Q`, `sshd -t`), or it
      controls an existing connection (`-O check`).
    """

    CLIENT = "client"
    PERSISTENT_TUNNEL = "persistent tunnel"
    DAEMON = "daemon"
    INBOUND_SESSION = "inbound session"
    NO_OP = "no-op"

    @property
    def label(self) -> str:
        """The text for a page."""
        return f"{self} (opens no connection)" if self is SshRole.NO_OP else str(self)


class ForwardKind(StrEnum):
    """The kind of a forward; ssh(1), options -L, -R, -D, -W and -w."""

    LOCAL = "local"
    REMOTE = "remote"
    DYNAMIC = "dynamic"
    REMOTE_DYNAMIC = "remote dynamic"
    STDIO = "stdio"
    TUN = "tun"


class FindingKind(StrEnum):
    """The kind of a finding. The value is the text that the alert list shows.

    FINDING_RULES (findings.py) contains the rules that detect each kind.
    """

    REMOTE_FORWARD = "remote forward"
    REMOTE_DYNAMIC_FORWARD = "remote SOCKS proxy"
    LOCAL_FORWARD = "local forward"
    DYNAMIC_FORWARD = "SOCKS proxy"
    STDIO_FORWARD = "stdio forward"
    TUN_DEVICE = "tun device"
    GATEWAY_PORTS = "gateway ports"
    AGENT_FORWARDING = "agent forwarding"
    X11_FORWARDING = "X11 forwarding"
    HOST_KEY_CHECKING_OFF = "host key checking off"
    HOST_KEY_ACCEPT_NEW = "new host keys accepted"
    KNOWN_HOSTS_DISCARDED = "host keys discarded"
    PROXY_COMMAND = "proxy command"
    JUMP_HOST = "jump host"
    LOCAL_COMMAND = "local command"
    KNOWN_HOSTS_COMMAND = "known hosts command"
    LOADED_LIBRARY = "loads a library"
    HELPER_PROGRAM = "helper program"
    DISGUISED_DESTINATION = "disguised destination"
    CONFIG_FILE = "custom configuration"
    IDENTITY_FILE = "key file"
    CONNECTION_SHARING = "shared connection"
    LOG_FILE = "log file"
    BACKGROUND = "background"
    NO_COMMAND = "no command"
    AUTO_RECONNECT = "automatic reconnect"
    REMOTE_COMMAND = "remote command"
    BATCH_MODE = "batch mode"
    PASSWORD_ARGUMENT = "password in arguments"  # noqa: S105 - a kind of finding, no password
    DAEMON_STARTED = "SSH server"
    DAEMON_PORT = "unusual port"
    DAEMON_CONFIG = "custom server configuration"
    DAEMON_HOST_KEY = "custom host key"
    DAEMON_OVERRIDE = "configuration override"
    DAEMON_FORWARDING = "server forwarding"
    DAEMON_COMMAND = "server command"
    ROOT_LOGIN = "root login"
    WEAK_AUTHENTICATION = "weak authentication"
    AUTHORIZED_KEYS = "authorized keys"
    DEBUG_MODE = "debug mode"
    FOREGROUND = "foreground"
    INETD = "inetd mode"
    INBOUND_SESSION = "inbound session"
    RENAMED = "renamed program"
    LOCAL_SHELL = "local shell"
    NODE_ADDRESS = "container host"
    ARGUMENTS_SPLIT = "arguments split"
    NO_CONNECTION = "no connection"
    INVALID_ARGUMENTS = "invalid arguments"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A host with optional user and port, such as a jump host; ssh(1), option -J.

    `user` and `port` are None if the arguments do not set them.
    """

    host: str
    user: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Forward:
    """One forwarding of ports, sockets or a tun device; ssh(1), options -L, -R, -D, -W and -w.

    - `listen`: the listening address, such as `8080`, `*:8080`, `[::1]:8080` or `/run/x.sock`. Remote and
      remote dynamic forwards listen on the remote host. Local and dynamic forwards listen on the local host.
      For a stdio forward, `listen` is None.
    - `target`: the address to which connections are forwarded, such as `db:5432`, `[::1]:5432` or
      `/run/x.sock`. For dynamic and remote dynamic forwards, `target` is None.
    - For a tun forward, `listen` is the local tun device and `target` is the remote tun device.
    - `arg_indexes`: the indexes of the arguments that set the forward; argv[0] has index 0.
    """

    kind: ForwardKind
    listen: str | None
    target: str | None
    arg_indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact about the command line that matters to an analyst, with a one-sentence message.

    `risk` is the number of points, possibly negative, that the finding adds to the priority of the alert.
    `arg_indexes` are the indexes, in ascending order, of the arguments that caused the finding; argv[0] has
    index 0. `message` contains untrusted text from the arguments, with passwords masked: escape it before
    display.
    """

    kind: FindingKind
    message: str
    arg_indexes: tuple[int, ...]
    risk: int


@dataclass(frozen=True, slots=True)
class SshInvocation:
    """A parsed SSH command line. Passwords are masked.

    - `program`: base name of the program, such as `ssh` or `sshd`. For `sshpass ssh web`, it is `ssh`.
    - `alias`: the process name if it hides the program, such as `kworker` for a renamed ssh; otherwise None.
    - `destination`: the host to which the client connects, in lower case. An IPv6 address has no brackets.
      `-o HostName=` replaces the host in the arguments, as in OpenSSH. The destination is None for servers.
      It is also None if no argument names a destination.
    - `user`: the remote account. For an inbound session, it is the account that logged in.
    - `port`: the port in the arguments, or None. For a server with several ports, it is the first port.
    - `jump_hosts`: in the order in which the client connects through them.
    - `identity_files`: values of `-i` and `IdentityFile`.
    - `config_file`: the value of `-F` (clients) or `-f` (sshd).
    - `remote_command`: the arguments after the destination. With `-s`, the first of them is the subsystem.
    - `options`: the settings from `-o` and option letters. Each key is a keyword of ssh_config(5) or
      sshd_config(5) in lower case, and each value is the value that takes effect. User, Port, HostName and
      ProxyJump are omitted, because SshInvocation has separate fields for them.
    - `background`: True with `-f` or `ForkAfterAuthentication`.
    - `no_command`: True with `-N`, `SessionType none` or `-W`.
    - `no_op_option`: the option that makes the program open no connection (such as `-V` or `-O check`), or
      None.
    - `more_targets`: targets of ssh-keyscan after the first one, which is `destination`. `target_file` is
      its file of targets.
    - `script`: the init script that runs, with its action, such as `/etc/init.d/ssh start`; otherwise None.
    - `destination_indexes`: indexes of the arguments that name the destination.
    """

    role: SshRole
    program: str
    alias: str | None
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
    more_targets: tuple[str, ...]
    target_file: str | None
    script: str | None
    destination_indexes: tuple[int, ...]
    findings: tuple[Finding, ...]

    def has_finding(self, kind: FindingKind) -> bool:
        """Return whether there is a finding of this kind."""
        return any(finding.kind is kind for finding in self.findings)
