"""What is worth saying about a server or a session in it; sshd(8) and sshd_config(5) say why."""

from collections.abc import Callable

from app.domain.ssh.finding_rule import FindingRule, Said
from app.domain.ssh.reading import Reading
from app.domain.ssh.use import FindingKind, SshRole

_SERVERS = frozenset({SshRole.DAEMON, SshRole.INBOUND_SESSION})
_USUAL_PORT = "22"
_USUAL_CONFIG = "/etc/ssh/sshd_config"

# keyword: values that are worth a sentence (None: any but none and no), and the sentence.
_Saying = dict[str, tuple[frozenset[str] | None, str]]
_YES = frozenset({"yes"})

_ROOT: _Saying = {
    "permitrootlogin": (
        frozenset({"yes", "prohibit-password", "without-password", "forced-commands-only"}),
        "Lets root log in (PermitRootLogin {}).",
    ),
}
_KEYS: _Saying = {
    "authorizedkeysfile": (None, "Takes the keys that may log in from {}: see whose they are."),
    "authorizedkeyscommand": (None, "Runs {} to learn which keys may log in."),
    "authorizedprincipalscommand": (None, "Runs {} to learn which certificates may log in."),
    "trustedusercakeys": (None, "Lets in everyone whose certificate the keys in {} have signed."),
}
_COMMAND: _Saying = {
    "forcecommand": (None, "Runs this for everyone who logs in: {}"),
    "subsystem": (None, "Offers a subsystem of its own: {}"),
}
_WEAK: _Saying = {
    "passwordauthentication": (_YES, "Accepts passwords, which can be guessed from outside."),
    "permitemptypasswords": (_YES, "Accepts accounts that have no password."),
    "strictmodes": (frozenset({"no"}), "Accepts key files that other users can write."),
    "usepam": (frozenset({"no"}), "Skips PAM, and with it the account checks of the container."),
    "permituserenvironment": (_YES, "Lets whoever logs in set variables such as LD_PRELOAD."),
}
_FORWARDING: _Saying = {
    "gatewayports": (None, "Lets sessions open ports here to other machines (GatewayPorts {})."),
    "allowtcpforwarding": (None, "Lets sessions tunnel through here (AllowTcpForwarding {})."),
    "permittunnel": (None, "Lets sessions join networks through tun devices (PermitTunnel {})."),
}
_HOST_KEY: _Saying = {
    "hostkey": (None, "Uses the host key {}: one that was brought along proves an outside server."),
}
_SAID_ELSEWHERE = frozenset(
    {
        *_ROOT,
        *_KEYS,
        *_COMMAND,
        *_WEAK,
        *_FORWARDING,
        *_HOST_KEY,
        *("port", "user", "inetd", "reexec", "addressfamily", "listenaddress"),
    }
)


def _sayings(sayings: _Saying) -> Callable[[Reading], Said]:
    def look(reading: Reading) -> Said:
        for keyword, (worth, sentence) in sayings.items():
            for setting in reading.every(keyword):
                value = setting.value.lower()
                if value in worth if worth is not None else value not in ("none", "no", ""):
                    yield sentence.replace("{}", setting.value), setting.indexes

    return look


def _started(reading: Reading) -> Said:
    if reading.role is SshRole.DAEMON:
        yield (
            "Starts an SSH server in the container: find out who put it there and who can reach"
            " and log in to it.",
            reading.named,
        )


def _ports(reading: Reading) -> Said:
    for port in reading.ports:
        if port.value != _USUAL_PORT:
            yield f"Listens on port {port.value} instead of {_USUAL_PORT}.", port.indexes
    for address in reading.every("listenaddress"):
        yield f"Listens on {address.value}.", address.indexes


def _config_file(reading: Reading) -> Said:
    if reading.config_file is not None and reading.config_file.value != _USUAL_CONFIG:
        yield (
            f"Takes its settings from {reading.config_file.value}, not from {_USUAL_CONFIG}:"
            " read that file.",
            reading.config_file.indexes,
        )


def _overrides(reading: Reading) -> Said:
    for keyword in reading.settings:
        if keyword not in _SAID_ELSEWHERE:
            for setting in reading.every(keyword):
                yield f"Sets {keyword} to {setting.value} on its command line.", setting.indexes


def _debug(reading: Reading) -> Said:
    if reading.debug is not None:
        yield (
            "Runs in debug mode: serves one connection and stops, as someone trying things by"
            " hand would have it.",
            reading.debug.indexes,
        )


def _foreground(reading: Reading) -> Said:
    if reading.foreground is not None:
        yield (
            "Stays in the foreground, as a container's main process does: see whether the image"
            " starts it.",
            reading.foreground.indexes,
        )


def _inetd(reading: Reading) -> Said:
    setting = reading.settings.get("inetd")
    if setting is not None:
        yield (
            "Serves one connection on its own input and output, without listening: look for the"
            " program that feeds it.",
            setting.indexes,
        )


def _inbound(reading: Reading) -> Said:
    inbound = reading.inbound
    if inbound is None or "inetd" in reading.settings:
        return
    user = reading.value("user")
    if user is not None and inbound.value.startswith("["):
        yield f"Someone is logging in as {user} over SSH, to this container.", inbound.indexes
    elif user is not None:
        where = "without a terminal" if inbound.value == "notty" else f"on {inbound.value}"
        yield f"{user} is logged in over SSH {where}: this container let them in.", inbound.indexes
    elif inbound.value == "copy":
        yield "Is the far side of a copy: someone moves files over SSH here.", inbound.indexes
    else:
        yield (
            "Handles a connection that came in; its arguments do not say for which account.",
            inbound.indexes,
        )


def _log_file(reading: Reading) -> Said:
    if reading.log_file is not None:
        yield (
            f"Writes its log to {reading.log_file.value}, where no log collector may look.",
            reading.log_file.indexes,
        )


def _only(kind: FindingKind, risk: int, look: Callable[[Reading], Said], short: str) -> FindingRule:
    return FindingRule(kind, short, risk, look, _SERVERS)


_K = FindingKind
DAEMON_FINDINGS: tuple[FindingRule, ...] = (
    _only(_K.DAEMON_STARTED, 15, _started, "SSH server"),
    _only(_K.INBOUND, 10, _inbound, "inbound session"),
    _only(_K.INETD, 15, _inetd, "fed by a program"),
    _only(_K.ROOT_LOGIN, 15, _sayings(_ROOT), "root login"),
    _only(_K.KEYS_FILE, 15, _sayings(_KEYS), "own key list"),
    _only(_K.DAEMON_COMMAND, 15, _sayings(_COMMAND), "server command"),
    _only(_K.WEAK_LOGIN, 10, _sayings(_WEAK), "weak login"),
    _only(_K.DAEMON_FORWARDING, 8, _sayings(_FORWARDING), "server forwarding"),
    _only(_K.DAEMON_CONFIG, 10, _config_file, "own configuration"),
    _only(_K.DAEMON_HOST_KEY, 5, _sayings(_HOST_KEY), "own host key"),
    _only(_K.DAEMON_PORT, 5, _ports, "unusual port"),
    _only(_K.DEBUG_DAEMON, 5, _debug, "debug mode"),
    _only(_K.LOG_FILE, 3, _log_file, "log file"),
    _only(_K.DAEMON_OVERRIDE, 2, _overrides, "setting overridden"),
    _only(_K.FOREGROUND, 0, _foreground, "foreground"),
)
