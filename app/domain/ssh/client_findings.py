"""Rules for the findings of SSH clients and tunnels, most important first."""

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
                f"Opens a SOCKS proxy on {messages.listen_address(f.listen)} on the remote host that"
                " gives access to every host that this container can reach."
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
                f"Opens {messages.listen_address(f.listen)} on the remote host, forwarding to {f.target}"
                " in this container."
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
                f"Connects this container's network with the remote network through tun devices"
                f" ({f.listen} here, {f.target} on the remote host), like a VPN."
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
            "knownhostscommand",
            {"none": "", "*": "Runs a command in this container to get host keys: {}"},
        ),
        "known hosts command",
    ),
    _client_rule(
        FindingKind.DISGUISED_DESTINATION,
        20,
        messages.disguised_destination,
        "disguised destination",
    ),
    _client_rule(
        FindingKind.PROXY_COMMAND,
        15,
        messages.setting(
            "proxycommand",
            {"none": "", "*": "Connects through a proxy command that runs in this container: {}"},
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
                f"Opens a SOCKS proxy on {messages.listen_address(f.listen)} in this container that gives"
                " access to every host that the remote host can reach."
            ),
        ),
        "SOCKS proxy",
    ),
    _client_rule(FindingKind.AUTO_RECONNECT, 10, messages.auto_reconnect, "automatic reconnect"),
    _client_rule(
        FindingKind.LOCAL_FORWARD,
        8,
        messages.forwards(
            ForwardKind.LOCAL,
            lambda f: (
                f"Opens {messages.listen_address(f.listen)} in this container, forwarding to {f.target} as"
                " seen from the remote host."
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
                f"Forwards its standard input and output to {f.target} through the remote host, as a jump"
                " host for another connection."
            ),
        ),
        "stdio forward",
    ),
    _client_rule(
        FindingKind.GATEWAY_PORTS,
        8,
        messages.setting(
            "gatewayports",
            {"yes": "Lets other hosts connect to its forwarded ports, not only this container."},
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
                "yes": "Forwards its key agent to the remote host: root there can log in to other hosts with"
                " these keys.",
                "*": "Forwards the key agent at {} to the remote host: root there can log in to other hosts"
                " with these keys.",
            },
        ),
        "agent forwarding",
    ),
    _client_rule(
        FindingKind.HOST_KEY_CHECKING_OFF,
        10,
        messages.setting(
            "stricthostkeychecking",
            {"no": "Accepts any host key, so it cannot detect a machine-in-the-middle attack."},
        ),
        "host key checking off",
    ),
    _client_rule(
        FindingKind.KNOWN_HOSTS_DISCARDED, 5, messages.known_hosts_discarded, "host keys discarded"
    ),
    _client_rule(
        FindingKind.HOST_KEY_ACCEPT_NEW,
        0,
        messages.setting(
            "stricthostkeychecking",
            {"accept-new": "Accepts the host key of an unknown host without confirmation."},
        ),
        "new host keys accepted",
    ),
    _client_rule(FindingKind.JUMP_HOST, 5, messages.jump_hosts, "jump host"),
    _client_rule(
        FindingKind.X11_FORWARDING,
        5,
        messages.setting(
            "forwardx11",
            {
                "yes": "Gives the remote host access to the local X11 display, including its keystrokes."
            },
        ),
        "X11 forwarding",
    ),
    # This rule also applies to no-op invocations, because `Match exec` in the configuration file runs a
    # command even with -G.
    FindingRule(
        FindingKind.CONFIG_FILE,
        "custom configuration",
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
        messages.setting(
            "batchmode", {"yes": "Runs non-interactively and never asks for a password."}
        ),
        "batch mode",
    ),
)
