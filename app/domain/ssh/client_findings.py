"""Rules for the findings of SSH clients and tunnels, most important first."""

from collections.abc import Callable

from app.domain.ssh import client_messages as messages
from app.domain.ssh.finding_rule import FindingMessages, FindingRule
from app.domain.ssh.model import FindingKind, ForwardKind, SshRole
from app.domain.ssh.parse_state import ParseState

_CLIENT_ROLES = frozenset({SshRole.CLIENT, SshRole.PERSISTENT_TUNNEL})


def _client_rule(
    kind: FindingKind, risk: int, find_messages: Callable[[ParseState], FindingMessages]
) -> FindingRule:
    return FindingRule(kind, risk, find_messages, _CLIENT_ROLES)


CLIENT_FINDING_RULES: tuple[FindingRule, ...] = (
    _client_rule(
        FindingKind.REMOTE_DYNAMIC_FORWARD,
        30,
        messages.forwards(
            ForwardKind.REMOTE_DYNAMIC,
            lambda f: (
                f"Opens a SOCKS proxy on the remote host, on {messages.listen_address(f.listen)}. The proxy"
                " gives access to every host that this container can reach."
            ),
        ),
    ),
    _client_rule(
        FindingKind.REMOTE_FORWARD,
        25,
        messages.forwards(
            ForwardKind.REMOTE,
            lambda f: (
                f"Opens {messages.listen_address(f.listen)} on the remote host, forwarding to {f.target}"
                f" {messages.target_location(f.target, local='in this container', end='this container')}."
            ),
        ),
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
    ),
    _client_rule(FindingKind.LOADED_LIBRARY, 25, messages.provider_libraries),
    _client_rule(FindingKind.LOCAL_SHELL, 25, messages.local_shell),
    _client_rule(FindingKind.LOCAL_COMMAND, 20, messages.local_command),
    _client_rule(
        FindingKind.KNOWN_HOSTS_COMMAND,
        20,
        messages.setting(
            "knownhostscommand",
            {"none": "", "*": "Runs a command in this container to get host keys: {}"},
        ),
    ),
    _client_rule(
        FindingKind.DISGUISED_DESTINATION,
        20,
        messages.disguised_destination,
    ),
    _client_rule(
        FindingKind.PROXY_COMMAND,
        15,
        messages.setting(
            "proxycommand",
            {"none": "", "*": "Connects through a proxy command that runs in this container: {}"},
        ),
    ),
    _client_rule(FindingKind.HELPER_PROGRAM, 15, messages.helper_programs),
    _client_rule(
        FindingKind.DYNAMIC_FORWARD,
        15,
        messages.forwards(
            ForwardKind.DYNAMIC,
            lambda f: (
                f"Opens a SOCKS proxy in this container, on {messages.listen_address(f.listen)}. The proxy"
                " gives access to every host that the remote host can reach."
            ),
        ),
    ),
    _client_rule(FindingKind.AUTO_RECONNECT, 10, messages.auto_reconnect),
    _client_rule(
        FindingKind.LOCAL_FORWARD,
        8,
        messages.forwards(
            ForwardKind.LOCAL,
            lambda f: (
                f"Opens {messages.listen_address(f.listen)} in this container and forwards connections to"
                f" {f.target}"
                f" {messages.target_location(f.target, local='on the remote host', end='the remote host')}."
            ),
        ),
    ),
    _client_rule(
        FindingKind.STDIO_FORWARD,
        8,
        messages.forwards(
            ForwardKind.STDIO,
            lambda f: (
                f"Forwards its standard input and output to {f.target} through the remote host, which"
                " is then the jump host of another connection."
            ),
        ),
    ),
    _client_rule(
        FindingKind.GATEWAY_PORTS,
        8,
        messages.setting(
            "gatewayports",
            {"yes": "Opens the forwarded ports to other hosts, not only to this container."},
        ),
    ),
    _client_rule(
        FindingKind.AGENT_FORWARDING,
        10,
        messages.setting(
            "forwardagent",
            {
                "no": "",
                "yes": "Forwards the ssh-agent to the remote host: root on the remote host can use the keys"
                " of the ssh-agent to log in to other hosts.",
                "*": "Forwards the ssh-agent at {} to the remote host: root on the remote host can use the"
                " keys of the ssh-agent to log in to other hosts.",
            },
        ),
    ),
    _client_rule(
        FindingKind.HOST_KEY_CHECKING_OFF,
        10,
        messages.setting(
            "stricthostkeychecking",
            {"no": "Accepts any host key, so a machine-in-the-middle attack is not detected."},
        ),
    ),
    _client_rule(FindingKind.KNOWN_HOSTS_DISCARDED, 5, messages.known_hosts_discarded),
    _client_rule(
        FindingKind.HOST_KEY_ACCEPT_NEW,
        0,
        messages.setting(
            "stricthostkeychecking",
            {"accept-new": "Accepts the host key of an unknown host without confirmation."},
        ),
    ),
    _client_rule(FindingKind.JUMP_HOST, 5, messages.jump_hosts),
    _client_rule(
        FindingKind.X11_FORWARDING,
        5,
        messages.setting(
            "forwardx11",
            {
                "yes": "Gives the remote host access to the local X11 display, including its keystrokes."
            },
        ),
    ),
    # This rule also applies to no-op invocations, because `Match exec` in the configuration file runs a
    # command even with -G.
    FindingRule(
        FindingKind.CONFIG_FILE,
        5,
        messages.config_file,
        _CLIENT_ROLES | {SshRole.NO_OP},
    ),
    _client_rule(FindingKind.IDENTITY_FILE, 3, messages.identity_files),
    _client_rule(FindingKind.CONNECTION_SHARING, 3, messages.connection_sharing),
    _client_rule(FindingKind.LOG_FILE, 3, messages.log_file),
    _client_rule(FindingKind.BACKGROUND, 5, messages.background),
    _client_rule(FindingKind.NO_COMMAND, 0, messages.no_command),
    _client_rule(FindingKind.REMOTE_COMMAND, 3, messages.remote_command),
    _client_rule(
        FindingKind.BATCH_MODE,
        0,
        messages.setting(
            "batchmode", {"yes": "Runs non-interactively and never asks for a password."}
        ),
    ),
)
