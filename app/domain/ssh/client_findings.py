"""What is worth saying about a client or a tunnel, what it weighs; the most telling first."""

from collections.abc import Callable

from app.domain.ssh import client_sayings as say
from app.domain.ssh.finding_rule import FindingRule, Said
from app.domain.ssh.reading import Reading
from app.domain.ssh.use import FindingKind, ForwardKind, SshRole

_CLIENTS = frozenset({SshRole.CLIENT, SshRole.PERSISTENT_TUNNEL})


def _only(kind: FindingKind, risk: int, look: Callable[[Reading], Said], short: str) -> FindingRule:
    return FindingRule(kind, short, risk, look, _CLIENTS)


_K = FindingKind
CLIENT_FINDINGS: tuple[FindingRule, ...] = (
    _only(
        _K.REMOTE_DYNAMIC_FORWARD,
        30,
        say.forwards(
            ForwardKind.REMOTE_DYNAMIC,
            lambda f: (
                f"Opens a SOCKS proxy on {say.place(f.listen)} on the far side, which reaches"
                " everything that this container can reach."
            ),
        ),
        "remote SOCKS proxy",
    ),
    _only(
        _K.REMOTE_FORWARD,
        25,
        say.forwards(
            ForwardKind.REMOTE,
            lambda f: f"Opens {say.place(f.listen)} on the far side that leads to {f.target} here.",
        ),
        "remote forward",
    ),
    _only(
        _K.TUN_DEVICE,
        25,
        say.forwards(
            ForwardKind.TUN,
            lambda f: (
                f"Joins this container's network with the far side's through tun devices"
                f" ({f.listen} here, {f.target} there), as a VPN would."
            ),
        ),
        "tun device",
    ),
    _only(_K.LOADED_LIBRARY, 25, say.libraries, "loads a library"),
    _only(_K.LOCAL_COMMAND, 20, say.local_command, "local command"),
    _only(
        _K.KNOWN_HOSTS_COMMAND,
        20,
        say.setting(
            "knownhostscommand", {"none": "", "*": "Runs in this container to get host keys: {}"}
        ),
        "known hosts command",
    ),
    _only(_K.DISGUISED_DESTINATION, 20, say.disguised, "other host than shown"),
    _only(
        _K.PROXY_COMMAND,
        15,
        say.setting(
            "proxycommand",
            {"none": "", "*": "Connects through a command that runs in this container: {}"},
        ),
        "proxy command",
    ),
    _only(_K.HELPER_PROGRAM, 15, say.helpers, "helper program"),
    _only(
        _K.DYNAMIC_FORWARD,
        15,
        say.forwards(
            ForwardKind.DYNAMIC,
            lambda f: (
                f"Opens a SOCKS proxy on {say.place(f.listen)} here, which reaches everything"
                " that the far side can reach."
            ),
        ),
        "SOCKS proxy",
    ),
    _only(_K.AUTO_RECONNECT, 10, say.restarts, "reconnects"),
    _only(
        _K.LOCAL_FORWARD,
        8,
        say.forwards(
            ForwardKind.LOCAL,
            lambda f: (
                f"Opens {say.place(f.listen)} here that leads to {f.target}, as seen from"
                " the far side."
            ),
        ),
        "local forward",
    ),
    _only(
        _K.STDIO_FORWARD,
        8,
        say.forwards(
            ForwardKind.STDIO,
            lambda f: (
                f"Passes its input and output to {f.target} beyond the far side, as a"
                " stepping stone for another connection."
            ),
        ),
        "stepping stone",
    ),
    _only(
        _K.GATEWAY_PORTS,
        8,
        say.setting(
            "gatewayports",
            {"yes": "Lets other machines use the ports that it forwards, not only this one."},
        ),
        "gateway ports",
    ),
    _only(
        _K.AGENT_FORWARDING,
        10,
        say.setting(
            "forwardagent",
            {
                "no": "",
                "yes": "Lends its key agent to the far side: whoever is root there can log in"
                " elsewhere with these keys.",
                "*": "Lends the key agent at {} to the far side: whoever is root there can log in"
                " elsewhere with its keys.",
            },
        ),
        "agent forwarding",
    ),
    _only(
        _K.HOST_KEY_CHECK_OFF,
        10,
        say.setting(
            "stricthostkeychecking",
            {"no": "Accepts any host key, so it cannot tell whether it reached the right machine."},
        ),
        "host key check off",
    ),
    _only(_K.KNOWN_HOSTS_DISCARDED, 5, say.known_hosts, "host keys forgotten"),
    _only(
        _K.HOST_KEY_ACCEPT_NEW,
        0,
        say.setting(
            "stricthostkeychecking",
            {"accept-new": "Trusts a host it has never seen without asking anyone."},
        ),
        "new hosts trusted",
    ),
    _only(_K.JUMP_HOST, 5, say.jumps, "jump host"),
    _only(
        _K.X11_FORWARDING,
        5,
        say.setting(
            "forwardx11",
            {"yes": "Lets the far side open windows on, and read keys from, the display here."},
        ),
        "X11 forwarding",
    ),
    # Also for a no-op: `Match exec` in that file runs a command even under -G.
    FindingRule(
        _K.CONFIG_FILE, "own configuration", 5, say.config_file, _CLIENTS | {SshRole.NO_OP}
    ),
    _only(_K.IDENTITY_FILE, 3, say.identities, "key file"),
    _only(_K.CONNECTION_SHARING, 3, say.sharing, "shared connection"),
    _only(_K.LOG_FILE, 3, say.log_file, "log file"),
    _only(_K.BACKGROUND, 5, say.background, "background"),
    _only(_K.NO_COMMAND, 0, say.no_command, "no command"),
    _only(_K.REMOTE_COMMAND, 3, say.remote_command, "remote command"),
    _only(
        _K.UNATTENDED,
        0,
        say.setting("batchmode", {"yes": "Runs unattended: it never asks for a password."}),
        "unattended",
    ),
)
