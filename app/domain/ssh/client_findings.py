"""What is worth saying about a client or a tunnel, what it weighs; the most telling first."""

from collections.abc import Callable

from app.domain.ssh import client_messages as messages
from app.domain.ssh.finding_rule import FindingMessages, FindingRule
from app.domain.ssh.model import FindingKind, ForwardKind, SshRole
from app.domain.ssh.parse_state import ParseState

_CLIENT_ROLES = frozenset({SshRole.CLIENT, SshRole.PERSISTENT_TUNNEL})


def _client_rule(
    kind: FindingKind, risk: int, find_messages: Callable[[ParseState], FindingMessages], label: str
) -> FindingRule:
    return FindingRule(kind, label, risk, find_messages, _CLIENT_ROLES)


CLIENT_FINDING_RULES: tuple[FindingRule, ...] = (
    _client_rule(
        FindingKind.REMOTE_DYNAMIC_FORWARD,
        30,
        messages.forwards(
            ForwardKind.REMOTE_DYNAMIC,
            lambda f: (
                f"Opens a SOCKS proxy on {messages.listen_address(f.listen)} on the far side, which reaches"
                " everything that this container can reach."
            ),
        ),
        "remote SOCKS proxy",
    ),
    _client_rule(
        FindingKind.REMOTE_FORWARD,
        25,
        messages.forwards(
            ForwardKind.REMOTE,
            lambda f: (
                f"Opens {messages.listen_address(f.listen)} on the far side that leads to {f.target} here."
            ),
        ),
        "remote forward",
    ),
    _client_rule(
        FindingKind.TUN_DEVICE,
        25,
        messages.forwards(
            ForwardKind.TUN,
            lambda f: (
                f"Joins this container's network with the far side's through tun devices"
                f" ({f.listen} here, {f.target} there), as a VPN would."
            ),
        ),
        "tun device",
    ),
    _client_rule(FindingKind.LOADED_LIBRARY, 25, messages.provider_libraries, "loads a library"),
    _client_rule(FindingKind.LOCAL_COMMAND, 20, messages.local_command, "local command"),
    _client_rule(
        FindingKind.KNOWN_HOSTS_COMMAND,
        20,
        messages.setting(
            "knownhostscommand", {"none": "", "*": "Runs in this container to get host keys: {}"}
        ),
        "known hosts command",
    ),
    _client_rule(
        FindingKind.DISGUISED_DESTINATION,
        20,
        messages.disguised_destination,
        "other host than shown",
    ),
    _client_rule(
        FindingKind.PROXY_COMMAND,
        15,
        messages.setting(
            "proxycommand",
            {"none": "", "*": "Connects through a command that runs in this container: {}"},
        ),
        "proxy command",
    ),
    _client_rule(FindingKind.HELPER_PROGRAM, 15, messages.helper_programs, "helper program"),
    _client_rule(
        FindingKind.DYNAMIC_FORWARD,
        15,
        messages.forwards(
            ForwardKind.DYNAMIC,
            lambda f: (
                f"Opens a SOCKS proxy on {messages.listen_address(f.listen)} here, which reaches everything"
                " that the far side can reach."
            ),
        ),
        "SOCKS proxy",
    ),
    _client_rule(FindingKind.AUTO_RECONNECT, 10, messages.auto_reconnect, "reconnects"),
    _client_rule(
        FindingKind.LOCAL_FORWARD,
        8,
        messages.forwards(
            ForwardKind.LOCAL,
            lambda f: (
                f"Opens {messages.listen_address(f.listen)} here that leads to {f.target}, as seen from"
                " the far side."
            ),
        ),
        "local forward",
    ),
    _client_rule(
        FindingKind.STDIO_FORWARD,
        8,
        messages.forwards(
            ForwardKind.STDIO,
            lambda f: (
                f"Passes its input and output to {f.target} beyond the far side, as a"
                " stepping stone for another connection."
            ),
        ),
        "stepping stone",
    ),
    _client_rule(
        FindingKind.GATEWAY_PORTS,
        8,
        messages.setting(
            "gatewayports",
            {"yes": "Lets other machines use the ports that it forwards, not only this one."},
        ),
        "gateway ports",
    ),
    _client_rule(
        FindingKind.AGENT_FORWARDING,
        10,
        messages.setting(
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
    _client_rule(
        FindingKind.HOST_KEY_CHECKING_OFF,
        10,
        messages.setting(
            "stricthostkeychecking",
            {"no": "Accepts any host key, so it cannot tell whether it reached the right machine."},
        ),
        "host key check off",
    ),
    _client_rule(
        FindingKind.KNOWN_HOSTS_DISCARDED, 5, messages.known_hosts_discarded, "host keys forgotten"
    ),
    _client_rule(
        FindingKind.HOST_KEY_ACCEPT_NEW,
        0,
        messages.setting(
            "stricthostkeychecking",
            {"accept-new": "Trusts a host it has never seen without asking anyone."},
        ),
        "new hosts trusted",
    ),
    _client_rule(FindingKind.JUMP_HOST, 5, messages.jump_hosts, "jump host"),
    _client_rule(
        FindingKind.X11_FORWARDING,
        5,
        messages.setting(
            "forwardx11",
            {"yes": "Lets the far side open windows on, and read keys from, the display here."},
        ),
        "X11 forwarding",
    ),
    # Also for a no-op: `Match exec` in that file runs a command even under -G.
    FindingRule(
        FindingKind.CONFIG_FILE,
        "own configuration",
        5,
        messages.config_file,
        _CLIENT_ROLES | {SshRole.NO_OP},
    ),
    _client_rule(FindingKind.IDENTITY_FILE, 3, messages.identity_files, "key file"),
    _client_rule(
        FindingKind.CONNECTION_SHARING, 3, messages.connection_sharing, "shared connection"
    ),
    _client_rule(FindingKind.LOG_FILE, 3, messages.log_file, "log file"),
    _client_rule(FindingKind.BACKGROUND, 5, messages.background, "background"),
    _client_rule(FindingKind.NO_COMMAND, 0, messages.no_command, "no command"),
    _client_rule(FindingKind.REMOTE_COMMAND, 3, messages.remote_command, "remote command"),
    _client_rule(
        FindingKind.BATCH_MODE,
        0,
        messages.setting("batchmode", {"yes": "Runs unattended: it never asks for a password."}),
        "unattended",
    ),
)
