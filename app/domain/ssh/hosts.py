"""Normalisation of host names and addresses as in OpenSSH."""

import ipaddress
import re

MAX_HOST_LENGTH = 1024
_HEXADECIMAL = re.compile(r"0[xX]0*([0-9a-fA-F]{1,8})")
_OCTAL = re.compile(r"00*([0-7]{0,11})")
_DECIMAL = re.compile(r"([1-9][0-9]{0,9})")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def ascii_lower(text: str) -> str:
    """Convert only the letters A to Z to lower case, as OpenSSH does.

    `str.lower` also converts non-ASCII letters. It converts the letter U+0130 to two characters.
    """
    return text.translate(_ASCII_LOWER)


def strip_brackets(host: str) -> str:
    """Remove brackets: `[::1]` becomes `::1`."""
    return host[1:-1] if len(host) > 1 and host[0] == "[" and host[-1] == "]" else host


def normalize_host(host: str) -> str:
    """Return a host name in lower case, or an address in its canonical form.

    `1.1` and `0x1000001` become 1.0.0.1: ssh resolves hosts with getaddrinfo(3), which accepts these forms of
    an IPv4 address (see inet_aton(3)).
    """
    if ":" in host:
        return _normalize_ipv6(strip_brackets(host))
    return _normalize_ipv4(host) or ascii_lower(host)


def expand_host_name(host_name: str, host: str) -> str:
    """Expand the value of HostName; ssh_config(5).

    `host` is the host in the arguments. `%h` is replaced by `host`, and `%%` is replaced by `%`. If `host` is
    `web`, then `%h.example.com` becomes `web.example.com`.
    """
    if host_name.count("%") * len(host) > MAX_HOST_LENGTH:
        # The expanded text could be too long for a host name, so `host_name` is not expanded.
        return host_name
    return re.sub("%([h%])", lambda match: host if match[1] == "h" else "%", host_name)


def _normalize_ipv4(host: str) -> str | None:
    parts = host.split(".", 4)
    numbers = [_parse_c_integer(part) for part in parts]
    last = numbers[-1]
    if len(parts) > 4 or last is None or last >= 256 ** (5 - len(parts)):
        return None
    address = last
    for place, number in enumerate(numbers[:-1]):
        if number is None or number > 255:
            return None
        address += number << (24 - 8 * place)
    return str(ipaddress.IPv4Address(address))


def _parse_c_integer(text: str) -> int | None:
    """Parse a C integer literal: decimal, octal (`010`) or hexadecimal (`0x8`)."""
    for shape, base in ((_HEXADECIMAL, 16), (_OCTAL, 8), (_DECIMAL, 10)):
        found = shape.fullmatch(text)
        if found is not None:
            return int(found[1] or "0", base)
    return None


def _normalize_ipv6(host: str) -> str:
    text, percent, zone = host.partition("%")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return ascii_lower(host)
    # inet_ntop(3) prints an embedded IPv4 address in dotted form.
    number = int(address)
    in_dots = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if number >> 32 == 0xFFFF:
        text = f"::ffff:{in_dots}"
    elif number >> 32 == 0 and number > 0xFFFF:
        text = f"::{in_dots}"
    else:
        text = str(address)
    return f"{text}{percent}{zone}"


def is_ipv6(host: str) -> bool:
    """Return whether `host` is an IPv6 address, which may have a zone."""
    try:
        ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def join_host_port(host: str, port: int | str) -> str:
    """Return `host:port`, with brackets around a host that contains a colon (IPv6) or a slash."""
    return f"[{host}]:{port}" if ":" in host or "/" in host else f"{host}:{port}"
