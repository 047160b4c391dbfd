"""Rules for the findings of SSH servers and inbound sessions. Sources: sshd(8) and sshd_config(5)."""

from collections.abc import Callable

from app.domain.ssh.finding_rule import FindingMessages, FindingRule
from app.domain.ssh.model import FindingKind, SshRole
from app.domain.ssh.parse_state import ParseState

_SERVER_ROLES = frozenset({SshRole.DAEMON, SshRole.INBOUND_SESSION})
_DEFAULT_PORT = "22"
_DEFAULT_CONFIG_FILE = "/etc/ssh/sshd_config"

# Maps each keyword to a pair: the set of values that cause a finding, and the message of the finding. If the
# set is None, every value causes a finding, except "none", "no" and the empty string.
_MessagesByKeyword = dict[str, tuple[frozenset[str] | None, str]]
_YES = frozenset({"yes"})

_ROOT_LOGIN: _MessagesByKeyword = {
    "permitrootlogin": (
        frozenset({"yes", "prohibit-password", "without-password", "forced-commands-only"}),
        "Lets root log in (PermitRootLogin {}).",
    ),
}
_AUTHORIZED_KEYS: _MessagesByKeyword = {
    "authorizedkeysfile": (None, "Reads the authorized keys from {}: check whose keys they are."),
    "authorizedkeyscommand": (None, "Runs {} to get the authorized keys."),
    "authorizedprincipalscommand": (
        None,
        "Runs {} to get the authorized principals of certificates.",
    ),
    "trustedusercakeys": (None, "Accepts every user certificate signed by the keys in {}."),
}
_SERVER_COMMANDS: _MessagesByKeyword = {
    "forcecommand": (None, "Runs a command for every session: {}"),
    "subsystem": (None, "Configures a subsystem: {}"),
}
_WEAK_AUTHENTICATION: _MessagesByKeyword = {
    "passwordauthentication": (_YES, "Accepts passwords, which can be brute-forced."),
    "permitemptypasswords": (_YES, "Lets accounts with an empty password log in."),
    "strictmodes": (frozenset({"no"}), "Accepts key files that other users can write to."),
    "usepam": (frozenset({"no"}), "Disables PAM and with it the account checks of the container."),
    "permituserenvironment": (_YES, "Lets users set environment variables such as LD_PRELOAD."),
}
_FORWARDING: _MessagesByKeyword = {
    "gatewayports": (
        None,
        "Lets other hosts connect to ports that sessions forward (GatewayPorts {}).",
    ),
    "allowtcpforwarding": (None, "Lets sessions forward TCP connections (AllowTcpForwarding {})."),
    "permittunnel": (None, "Lets sessions connect networks through tun devices (PermitTunnel {})."),
}
_HOST_KEY: _MessagesByKeyword = {
    "hostkey": (
        None,
        "Uses the host key {}: check whether it is part of the image or was added later.",
    ),
}
_KEYWORDS_WITH_OWN_FINDING = frozenset(
    {
        *_ROOT_LOGIN,
        *_AUTHORIZED_KEYS,
        *_SERVER_COMMANDS,
        *_WEAK_AUTHENTICATION,
        *_FORWARDING,
        *_HOST_KEY,
        *("port", "user", "inetd", "reexec", "addressfamily", "listenaddress"),
    }
)


def _setting_messages(
    messages_by_keyword: _MessagesByKeyword,
) -> Callable[[ParseState], FindingMessages]:
    def find_messages(state: ParseState) -> FindingMessages:
        for keyword, (notable_values, message) in messages_by_keyword.items():
            for setting in state.get_values(keyword):
                value = setting.value.lower()
                if (
                    value in notable_values
                    if notable_values is not None
                    else value not in ("none", "no", "")
                ):
                    yield message.replace("{}", setting.value), setting.arg_indexes

    return find_messages


def _daemon_started(state: ParseState) -> FindingMessages:
    if state.role is SshRole.DAEMON and state.starts_server:
        yield (
            "Starts an SSH server in the container: find out who installed it, who can reach it and who"
            " can log in.",
            state.program_indexes,
        )


def _daemon_ports(state: ParseState) -> FindingMessages:
    for port in state.ports:
        if port.value != _DEFAULT_PORT:
            yield f"Listens on port {port.value} instead of {_DEFAULT_PORT}.", port.arg_indexes
    for address in state.get_values("listenaddress"):
        yield f"Listens on {address.value}.", address.arg_indexes


def _config_file(state: ParseState) -> FindingMessages:
    if state.config_file is not None and state.config_file.value != _DEFAULT_CONFIG_FILE:
        yield (
            f"Reads its configuration from {state.config_file.value} instead of {_DEFAULT_CONFIG_FILE}:"
            " check that file.",
            state.config_file.arg_indexes,
        )


def _overrides(state: ParseState) -> FindingMessages:
    for keyword in state.settings:
        if keyword not in _KEYWORDS_WITH_OWN_FINDING:
            for setting in state.get_values(keyword):
                yield (
                    f"Sets the option {keyword} to {setting.value} on the command line.",
                    setting.arg_indexes,
                )


def _debug_mode(state: ParseState) -> FindingMessages:
    if state.debug is not None:
        yield (
            "Runs in debug mode and serves a single connection, which suggests manual use.",
            state.debug.arg_indexes,
        )


def _foreground(state: ParseState) -> FindingMessages:
    if state.foreground is not None:
        yield (
            "Runs in the foreground, like a container's main process: check whether the image starts this"
            " server.",
            state.foreground.arg_indexes,
        )


def _inetd(state: ParseState) -> FindingMessages:
    setting = state.settings.get("inetd")
    if setting is not None:
        yield (
            "Serves one connection on standard input and output without listening: find the process that"
            " started this server.",
            setting.arg_indexes,
        )


def _inbound_session(state: ParseState) -> FindingMessages:
    inbound = state.inbound_session
    if inbound is None or "inetd" in state.settings:
        return
    user = state.get_value("user")
    if user is not None and inbound.value.startswith("["):
        yield f"A user is logging in to this container as {user} over SSH.", inbound.arg_indexes
    elif user is not None:
        where = (
            "without a terminal" if inbound.value == "notty" else f"on the terminal {inbound.value}"
        )
        yield (
            f"{user} is logged in to this container over SSH {where}.",
            inbound.arg_indexes,
        )
    elif inbound.value == "copy":
        yield "Serves a file copy over SSH from or to this container.", inbound.arg_indexes
    else:
        yield (
            "Serves an inbound connection. The arguments do not name the account.",
            inbound.arg_indexes,
        )


def _log_file(state: ParseState) -> FindingMessages:
    if state.log_file is not None:
        yield (
            f"Writes its log to {state.log_file.value} instead of the container's log.",
            state.log_file.arg_indexes,
        )


def _server_rule(
    kind: FindingKind, risk: int, find_messages: Callable[[ParseState], FindingMessages]
) -> FindingRule:
    return FindingRule(kind, risk, find_messages, _SERVER_ROLES)


SERVER_FINDING_RULES: tuple[FindingRule, ...] = (
    _server_rule(FindingKind.DAEMON_STARTED, 15, _daemon_started),
    _server_rule(FindingKind.INBOUND_SESSION, 10, _inbound_session),
    _server_rule(FindingKind.INETD, 15, _inetd),
    _server_rule(FindingKind.ROOT_LOGIN, 15, _setting_messages(_ROOT_LOGIN)),
    _server_rule(FindingKind.AUTHORIZED_KEYS, 15, _setting_messages(_AUTHORIZED_KEYS)),
    _server_rule(FindingKind.DAEMON_COMMAND, 15, _setting_messages(_SERVER_COMMANDS)),
    _server_rule(
        FindingKind.WEAK_AUTHENTICATION,
        10,
        _setting_messages(_WEAK_AUTHENTICATION),
    ),
    _server_rule(FindingKind.DAEMON_FORWARDING, 8, _setting_messages(_FORWARDING)),
    _server_rule(FindingKind.DAEMON_CONFIG, 10, _config_file),
    _server_rule(FindingKind.DAEMON_HOST_KEY, 5, _setting_messages(_HOST_KEY)),
    _server_rule(FindingKind.DAEMON_PORT, 5, _daemon_ports),
    _server_rule(FindingKind.DEBUG_MODE, 5, _debug_mode),
    _server_rule(FindingKind.LOG_FILE, 3, _log_file),
    _server_rule(FindingKind.DAEMON_OVERRIDE, 2, _overrides),
    _server_rule(FindingKind.FOREGROUND, 0, _foreground),
)
