"""Host names and addresses, in the spelling that OpenSSH goes on with."""

import ipaddress
import re

MAX_HOST_LENGTH = 1024
_HEXADECIMAL = re.compile(r"0[xX]0*([0-9a-fA-F]{1,8})")
_OCTAL = re.compile(r"00*([0-7]{0,11})")
_DECIMAL = re.compile(r"([1-9][0-9]{0,9})")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def ascii_lower(text: str) -> str:
    """Lower case for A to Z only, as OpenSSH does it; other letters could change their length."""
    return text.translate(_ASCII_LOWER)


def strip_brackets(host: str) -> str:
    """`[::1]` as `::1`."""
    return host[1:-1] if len(host) > 1 and host[0] == "[" and host[-1] == "]" else host


def normalize_host(host: str) -> str:
    """The host as OpenSSH goes on with it: lower case, and an address in its usual spelling.

    `1.1` and `0x1000001` are 1.0.0.1 to it, since getaddrinfo(3) reads what inet_aton(3) reads.
    """
    if ":" in host:
        return _normalize_ipv6(strip_brackets(host))
    return _normalize_ipv4(host) or ascii_lower(host)


def expand_host_name(named: str, host: str) -> str:
    """HostName of ssh_config(5) with its `%h`, the host on the line, and `%%` filled in."""
    if named.count("%") * len(host) > MAX_HOST_LENGTH:
        return named  # no host name is that long, and expanding it could fill the memory
    return re.sub("%([h%])", lambda found: host if found[1] == "h" else "%", named)


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
    """A number of C: decimal, octal behind 0, hexadecimal behind 0x; at most 32 bits matter."""
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
    # inet_ntop(3) shows addresses that hold an IPv4 address with its dots.
    number = int(address)
    in_dots = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if number >> 32 == 0xFFFF:
        text = f"::ffff:{in_dots}"
    elif number >> 32 == 0 and number > 0xFFFF:
        text = f"::{in_dots}"
    else:
        text = str(address)
    return f"{text}{percent}{zone}"


def join_host_port(host: str, port: int | str) -> str:
    """`host:port`, an IPv6 host in brackets, and a slash too, lest it look like a path."""
    return f"[{host}]:{port}" if ":" in host or "/" in host else f"{host}:{port}"
