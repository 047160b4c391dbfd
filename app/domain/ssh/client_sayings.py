"""What is said about a client or a tunnel, each with the arguments it comes from.

ssh(1) and ssh_config(5) are the sources. Labels and risks are left to client_findings.
"""

from collections.abc import Callable

from app.domain.ssh import hosts
from app.domain.ssh.finding_rule import Said
from app.domain.ssh.reading import Reading
from app.domain.ssh.use import Forward, ForwardKind


def forwards(kind: ForwardKind, say: Callable[[Forward], str]) -> Callable[[Reading], Said]:
    def look(reading: Reading) -> Said:
        for forward in reading.forwards:
            if forward.kind is kind:
                yield say(forward), forward.arg_indexes

    return look


def place(listen: str | None) -> str:
    """`8080` as `port 8080`, a path as a socket, anything else as it is."""
    text = listen or ""
    if text == "0":
        return "a port that the server chooses"
    if text.isdigit():
        return f"port {text}"
    return f"the socket {text}" if "/" in text else text


def setting(keyword: str, values_said: dict[str, str]) -> Callable[[Reading], Said]:
    """One sentence for each value of a keyword; `{}` becomes the value, key `*` is any other."""

    def look(reading: Reading) -> Said:
        setting = reading.settings.get(keyword)
        if setting is not None:
            sentence = values_said.get(setting.value.lower(), values_said.get("*", ""))
            if sentence:
                yield sentence.replace("{}", setting.value), setting.indexes

    return look


def jumps(reading: Reading) -> Said:
    if reading.jumps:
        way = ", then ".join(
            hosts.with_port(hop.host, hop.port) if hop.port else hop.host for hop in reading.jumps
        )
        yield (
            f"Goes through {way} before the destination: look for a session from here there too.",
            reading.settings["proxyjump"].indexes,
        )


def local_command(reading: Reading) -> Said:
    command = reading.settings.get("localcommand")
    permitted = reading.settings.get("permitlocalcommand")
    if permitted is None or permitted.value != "yes":
        return
    if command is None:
        yield (
            "Allows commands on this side (PermitLocalCommand): typed after ~! or set in the"
            " configuration, they run in this container.",
            permitted.indexes,
        )
    elif command.value.lower() != "none":
        at = tuple(sorted({*command.indexes, *permitted.indexes}))
        yield f"Runs in this container once it is connected: {command.value}", at


def libraries(reading: Reading) -> Said:
    for keyword in ("pkcs11provider", "securitykeyprovider"):
        setting = reading.settings.get(keyword)
        if setting is not None and setting.value.lower() not in ("", "none", "internal"):
            yield (
                f"Loads the library {setting.value} into itself: its code runs in this container.",
                setting.indexes,
            )


def helpers(reading: Reading) -> Said:
    xauth = reading.settings.get("xauthlocation")
    for helper in [*reading.helpers, *([xauth] if xauth else [])]:
        yield f"Runs {helper.value} in place of the usual helper program.", helper.indexes


def disguised(reading: Reading) -> Said:
    named, host = reading.settings.get("hostname"), reading.host
    if host is None:
        return
    address = hosts.real_host(host.value)
    if named is None and ":" not in address and address != hosts.ascii_lower(host.value):
        yield f"Writes the address {address} as {host.value}, which few people do.", host.indexes
    elif named is not None:
        real = hosts.named_host(named.value, host.value)
        if real.lower() != host.value.lower():
            at = tuple(sorted({*named.indexes, *host.indexes}))
            yield f"Says {host.value} on the line but connects to {real}.", at


def known_hosts(reading: Reading) -> Said:
    setting = reading.settings.get("userknownhostsfile")
    if setting is not None and set(setting.value.lower().split()) <= {"/dev/null", "none"}:
        yield (
            "Forgets every host key it is shown, so that a changed server goes unnoticed and no"
            " trace of the destination stays in known_hosts.",
            setting.indexes,
        )


def identities(reading: Reading) -> Said:
    for identity in reading.identities:
        yield (
            f"Logs in with the key {identity.value}: find out whose it is and whether it belongs"
            " in this container.",
            identity.indexes,
        )


def config_file(reading: Reading) -> Said:
    if reading.config_file is not None and reading.config_file.value.lower() != "none":
        yield (
            f"Takes its settings from {reading.config_file.value}: read that file, it can add"
            " forwards and commands that are not on this line.",
            reading.config_file.indexes,
        )


def sharing(reading: Reading) -> Said:
    master = reading.settings.get("controlmaster")
    path = reading.settings.get("controlpath")
    if path is not None and path.value.lower() == "none":
        return
    command = reading.settings.get("controlcommand")
    at = tuple(sorted({i for s in (master, path, command) if s is not None for i in s.indexes}))
    socket = f" at {path.value}" if path else ""
    if command is not None:
        yield f"Hands its request to a connection that is open already{socket}.", at
    elif master is not None and master.value != "no":
        yield (
            f"Keeps a socket{socket} through which any process of this user can use the"
            " connection without logging in.",
            at,
        )
    elif path is not None:
        yield f"Uses a connection that is open already{socket}, if there is one.", at


def log_file(reading: Reading) -> Said:
    if reading.log_file is not None:
        yield (
            f"Writes its messages to {reading.log_file.value}, not to the container's log.",
            reading.log_file.indexes,
        )


def background(reading: Reading) -> Said:
    if reading.background is not None:
        yield (
            "Goes on in the background, after the command that started it has ended.",
            reading.background.indexes,
        )


def no_command(reading: Reading) -> Said:
    if reading.no_command is not None and not any(
        forward.kind is ForwardKind.STDIO for forward in reading.forwards
    ):
        yield (
            "Runs no command on the far side: the connection itself is the purpose.",
            reading.no_command.indexes,
        )


def restarts(reading: Reading) -> Said:
    if reading.restarts:
        yield (
            "autossh opens the connection again whenever it breaks: stop autossh, not only ssh.",
            reading.named,
        )


def remote_command(reading: Reading) -> Said:
    named = reading.settings.get("remotecommand")
    if reading.value("sessiontype") == "subsystem":
        if reading.remote_command:
            yield f"Asks for the subsystem {reading.remote_command[0]}.", reading.remote_indexes
    elif reading.remote_command:
        yield (
            f"Runs on the far side: {' '.join(reading.remote_command)}",
            reading.remote_indexes,
        )
    elif named is not None and named.value.lower() != "none":
        yield f"Runs on the far side: {named.value}", named.indexes
