"""Parsers of values in SSH arguments: ports, hosts, URIs, jump hosts, forwards, tun devices.

Each parser follows ssh(1) and returns None for values that OpenSSH rejects.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from app.domain.ssh.hosts import MAX_HOST_LENGTH, join_host_port, strip_brackets
from app.domain.ssh.masking import MASK
from app.domain.ssh.model import HostSpec

_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]{0,10})", re.ASCII)
_INVALID_HOST = re.compile(r"-|.*[\s'`\"$\\;&<>|(){},\x00-\x1f\x7f]", re.ASCII | re.DOTALL)
_INVALID_USER = re.compile(r"-|.*(?:['`\";&<>|(){}]|\s-|\\\Z)", re.ASCII | re.DOTALL)
_MAX_SOCKET_PATH_BYTES = 107
_MAX_TUN_NUMBER = 0x7FFFFFFF - 2

# ssh accepts a service name instead of a port number and looks it up in /etc/services. The container's file
# is not available here, so this table contains common service names.
_SERVICE_PORTS = {
    "domain": 53, "ftp": 21, "git": 9418, "http": 80, "http-alt": 8080, "https": 443, "imap2": 143,
    "imaps": 993, "kerberos": 88, "ldap": 389, "ldaps": 636, "microsoft-ds": 445,
    "ms-wbt-server": 3389, "mysql": 3306, "nfs": 2049, "pop3": 110, "pop3s": 995,
    "postgresql": 5432, "redis": 6379, "rsync": 873, "smtp": 25, "socks": 1080, "ssh": 22,
    "submission": 587, "sunrpc": 111, "svn": 3690, "telnet": 23, "x11": 6000,
}  # fmt: skip


def is_invalid_host(text: str) -> bool:
    """Return whether ssh rejects the host `text`.

    The rules are those of OpenSSH 10.3. Earlier releases accept a comma and do not check jump hosts.
    """
    return _INVALID_HOST.match(text) is not None


def is_invalid_user(text: str) -> bool:
    """Return whether ssh rejects the user name `text`.

    The rules are those of OpenSSH 10.3. Earlier releases do not check the users of jump hosts.
    """
    return _INVALID_USER.match(text) is not None


def parse_integer(text: str, highest: int) -> int | None:
    """Parse a number from 0 to `highest`. Like strtonum(3), accept leading blanks and a sign."""
    found = _INTEGER.fullmatch(text)
    if found is None or not (found[2] or text.endswith("0")):
        return None
    number = int(found[2] or "0")
    return number if number <= highest and (number == 0 or found[1] != "-") else None


def parse_port(text: str) -> int | None:
    """Parse a port number (including 0) or a service name."""
    number = parse_integer(text, 65535)
    return _SERVICE_PORTS.get(text) if number is None else number


def parse_nonzero_port(text: str) -> int | None:
    """Parse a port number or a service name; 0 is invalid."""
    return parse_port(text) or None


def parse_uri(text: str, scheme: str = "ssh") -> HostSpec | None:
    """Parse `ssh://[user[;parameters]@]host[:port][/]`; ssh(1), DESCRIPTION.

    OpenSSH reads `user:password` as a user name. This parser removes the password, which is already masked.
    """
    rest = text.removeprefix(f"{scheme}://")
    before, at, after = rest.partition("@")
    user: str | None = None
    if at:
        name = before.partition(";")[0]
        if not name:
            return None
        user, rest = unquote(name).removesuffix(f":{MASK}"), after
    parts = _split_host(rest)
    # Only some releases of OpenSSH accept `ssh://[::1]`. This parser accepts it, so that analysts see the
    # destination.
    if parts is None or not (_is_domain_name(parts[0]) or rest.startswith("[")):
        return None
    host, divider, rest = parts
    port: int | None = None
    if divider == ":" and rest:
        digits, _, rest = rest.partition("/")
        port = parse_nonzero_port(digits)
        if port is None:
            return None
    return None if rest and scheme == "ssh" else HostSpec(host.removesuffix("."), user, port)


def parse_jump_host(text: str) -> HostSpec | None:
    """Parse one element of `-J`: `[user@]host[:port]` or a URI."""
    if text.startswith("ssh://"):
        return parse_uri(text)
    before, at, rest = text.rpartition("@")
    if at and not before:
        return None
    parts = _split_host(rest)
    if parts is None or not parts[0] or parts[1] == "/":
        return None
    host, _, digits = parts
    port = parse_nonzero_port(digits) if digits else None
    return None if digits and port is None else HostSpec(host, before or None, port)


def parse_jump_hosts(text: str) -> tuple[HostSpec, ...] | None:
    """Parse the list of `-J` or `ProxyJump`. `none` gives an empty tuple. A blank or a `#` ends the list."""
    text = text[:1] + re.split(r"\s", text[1:], maxsplit=1, flags=re.ASCII)[0]
    text = text.partition("#")[0]
    if text.lower() == "none":
        return ()
    found: list[HostSpec] = []
    for part in text.split(","):
        host_spec = parse_jump_host(part)
        if host_spec is None:
            return None
        found.append(host_spec)
    return tuple(found)


def _split_host(text: str) -> tuple[str, str, str] | None:
    if text.startswith("["):
        close = text.find("]")
        if close == -1 or text[close + 1 : close + 2] not in ("", ":", "/"):
            return None
        end = close + 1
    else:
        end = min(
            (position for position in (text.find(":"), text.find("/")) if position != -1),
            default=-1,
        )
        end = len(text) if end == -1 else end
    return strip_brackets(text[:end]), text[end : end + 1], text[end + 1 :]


def _is_domain_name(host: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", host) is not None and ".." not in host


def parse_tun_devices(text: str) -> tuple[str, str] | None:
    """Parse `local[:remote]`, the value of `-w`. Each part is a device number or `any`."""
    local, colon, remote = text.partition(":")
    devices = [_parse_tun_device(local), _parse_tun_device(remote) if colon else "any"]
    return None if devices[0] is None or devices[1] is None else (devices[0], devices[1])


def _parse_tun_device(text: str) -> str | None:
    if text.lower() == "any":
        return "any"
    number = parse_integer(text, _MAX_TUN_NUMBER)
    return None if number is None else str(number)


@dataclass(frozen=True, slots=True)
class ForwardSpec:
    """A parsed forward specification. `target` is None if the value names no target, as for a SOCKS proxy."""

    listen: str
    target: str | None


def parse_forward(text: str, *, dynamic: bool, remote: bool) -> ForwardSpec | None:
    """Parse `[bind:]port:host:hostport` and the other forms of ssh(1), options -L, -R and -D.

    If `dynamic` is true, only the forms of -D are valid: no target (`8080`), or a socket as target
    (`8080:/run/x.sock`). If `dynamic` is false, a target is required (`8080:db:80`). The listening port may
    be 0 only if `remote` is true (-R). The remote host then chooses the port.
    """
    fields = _split_forward_fields(text.lstrip(" \t\n\v\f\r"))
    if fields is None:
        return None
    words = [word for word, _ in fields]
    paths = [is_path for _, is_path in fields]
    listen: str | None
    target: str | None = None
    to_path = False
    if len(fields) == 1:
        listen = (
            _parse_socket_path(words[0])
            if paths[0]
            else _parse_listen_address(None, words[0], remote)
        )
    elif len(fields) == 2 and paths[1]:
        listen = (
            _parse_socket_path(words[0])
            if paths[0]
            else _parse_listen_address(None, words[0], remote)
        )
        target, to_path = _parse_socket_path(words[1]), True
    elif len(fields) == 2:
        listen = _parse_listen_address(words[0], words[1], remote)
    elif len(fields) == 3 and paths[0]:
        listen, target = _parse_socket_path(words[0]), _parse_target_address(words[1], words[2])
    elif len(fields) == 3 and paths[2]:
        listen, target = (
            _parse_listen_address(words[0], words[1], remote),
            _parse_socket_path(words[2]),
        )
        to_path = True
    elif len(fields) == 3:
        listen, target = (
            _parse_listen_address(None, words[0], remote),
            _parse_target_address(words[1], words[2]),
        )
    else:
        listen, target = (
            _parse_listen_address(words[0], words[1], remote),
            _parse_target_address(words[2], words[3]),
        )
    if listen is None or (dynamic and len(fields) > 2) or (to_path and target is None):
        return None
    return ForwardSpec(listen, target) if dynamic or target is not None else None


def _split_forward_fields(text: str) -> list[tuple[str, bool]] | None:
    """Split `text` at colons into one to four pairs (field, whether the field is a path).

    A field is a path if it contains a slash. Return None for invalid text.
    """
    fields: list[tuple[str, bool]] = []
    position = 0
    while position < len(text):
        if len(fields) == 4:
            return None
        if text[position] == "[":
            close = text.find("]", position)
            if close == -1 or text[close + 1 : close + 2] not in ("", ":"):
                return None
            word = text[position + 1 : close]
            position = close + 2
        else:
            letters: list[str] = []
            while position < len(text) and text[position] != ":":
                if text[position] == "\\":
                    position += 1
                    if position == len(text):
                        return None
                letters.append(text[position])
                position += 1
            word = "".join(letters)
            position += 1
        fields.append((word, "/" in word))
    return fields or None


def _parse_listen_address(host: str | None, port_text: str, remote: bool) -> str | None:
    port = parse_port(port_text)
    if port is None or (port == 0 and not remote):
        return None
    if host is None:
        return str(port)
    host = strip_brackets(host)
    # An empty bind address means all interfaces, like `*`.
    return None if len(host) > MAX_HOST_LENGTH else join_host_port(host or "*", port)


def _parse_target_address(host: str, port_text: str) -> str | None:
    port = parse_nonzero_port(port_text)
    host = strip_brackets(host)
    return None if port is None or len(host) > MAX_HOST_LENGTH else join_host_port(host, port)


def _parse_socket_path(text: str) -> str | None:
    return text if len(text.encode("utf-8", "surrogatepass")) <= _MAX_SOCKET_PATH_BYTES else None
