"""Comparison of the SSH parser with OpenSSH, using `ssh -G` as oracle (long because of one table).

test_ssh_parsing.py covers the complete result for a line.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.ssh import FindingKind, Forward, ForwardKind, SshInvocation, parse_ssh

LINES = """
ssh h
ssh H.Example.ORG
ssh u@h
ssh a@b@h
ssh u@
ssh @h
ssh ''
ssh ::1
ssh [::1]
ssh u@fe80::1
ssh ssh://h
ssh ssh://u@h:44
ssh ssh://u@h:44/
ssh ssh://h./
ssh ssh://u%40x@h
ssh 'ssh://u;fingerprint=x@h'
ssh 3405803785
ssh 0x7f.1
ssh 010.1
ssh 127.1.
ssh 1.2.3.256
ssh 256.1
ssh ::FFFF:10.0.0.1
ssh ::0a00:1
ssh 2001:DB8:0:0:1:0:0:1
ssh fe80::1%lo
ssh -o HostName=0x7f000001 h
ssh ssh://h/path
ssh ssh://h:x
ssh ssh://
ssh ssh://@h
ssh ssh://a@b@h
ssh SSH://h
ssh -p 2222 h
ssh -p2222 h
ssh -p 22 -p 33 h
ssh -p 22 -p nonsense h
ssh -p ' 2022' h
ssh -p +2022 h
ssh -p 02022 h
ssh -p http h
ssh -p 0 h
ssh -p 70000 h
ssh -p '22 ' h
ssh h -p
ssh -o Port=33 -p 22 h
ssh -p 22 -o Port=33 h
ssh -p 99 ssh://u@h:44
ssh ssh://u@h:44 -p 99
ssh -l a h
ssh -la b@h
ssh b@h -l a
ssh -l a -l b h
ssh -l '' h
ssh -o User=x y@h
ssh -l -- h -p 3
ssh h -p 3 ls -p 4
ssh h -- ls -p 4
ssh -- h -p 3
ssh h a -- b
ssh h -v -- -x
ssh -vvp2022 h
ssh -nNTfM h
ssh -Nf h
ssh -fN h -p 5
ssh -f h
ssh -f h sleep 9
ssh -f -W a:1 h
ssh -s h sftp
ssh -s h
ssh -N -s h sftp
ssh -s -N h sftp
ssh -z h
ssh --help
ssh -v- h
ssh - h
ssh -1 h
ssh
ssh -A h
ssh -A -a h
ssh -a -A h
ssh -A -o ForwardAgent=no h
ssh -o ForwardAgent=no -A h
ssh -o ForwardAgent=no -o ForwardAgent=yes h
ssh -o ForwardAgent=/run/agent.sock h
ssh -o forwardagent=TRUE h
ssh -A -o ForwardAgent=/run/agent.sock h
ssh -o ForwardAgent=/run/agent.sock -A h
ssh -o ForwardAgent=/run/agent.sock -a h
ssh -X h
ssh -Y h
ssh -X -x h
ssh -x -X h
ssh -o ForwardX11=yes h
ssh -o StrictHostKeyChecking=no h
ssh -oStrictHostKeyChecking=off h
ssh -o 'stricthostkeychecking  NO' h
ssh -o StrictHostKeyChecking=accept-new -oStrictHostKeyChecking=no h
ssh -o StrictHostKeyChecking=maybe h
ssh -o UserKnownHostsFile=/dev/null h
ssh -o 'UserKnownHostsFile=/a /b' h
ssh -o UserKnownHostsFile=/a -o UserKnownHostsFile=/dev/null h
ssh -L 8080:db:5432 h
ssh -L8080:db:5432 h
ssh -L '*:8080:db:5432' h
ssh -L :8080:db:5432 h
ssh -L '[::1]:1:[::2]:3' h
ssh -L 127.0.0.1:1:h:http h
ssh -L 1::2 h
ssh -L 1:h: h
ssh -L 0:h:1 h
ssh -L 1:h:0 h
ssh -L 1:2:3:4:5 h
ssh -L /a:/b h
ssh -L 1:/run/docker.sock h
ssh -L b:1:/run/docker.sock h
ssh -L /tmp/s:h:22 h
ssh -L 'a\\:b:1:h:2' h
ssh -L /a:1 h
ssh -L [::1:1:h:2 h
ssh -L '' h
ssh -D 1080 h
ssh -D '*:1080' h
ssh -D [::]:1080 h
ssh -D /tmp/s h
ssh -D a:b h
ssh -D /a:1 h
ssh -D 1:2:3 h
ssh -D /a:/b h
ssh -R 2222:localhost:22 h
ssh -R 0:localhost:22 h
ssh -R 0.0.0.0:2222:localhost:22 h
ssh -R /tmp/s:h:22 h
ssh -R /a:/b h
ssh -R 1080 h
ssh -R 0 h
ssh -R a:1080 h
ssh -R [::1]:1080 h
ssh -R :80 h
ssh -R /tmp/s h
ssh -R x:y:z h
ssh -R '' h
ssh -W a:1 h
ssh -W [::1]:3 h
ssh -W x h
ssh -W 22 h
ssh -W 22 -D 1 h
ssh -W a:0 h
ssh -W a:1 -W b:1 h
ssh -W a:1 -L 1:b:2 -w 1 h
ssh -o ClearAllForwardings=no -W a:1 -L 1:h:2 h
ssh -o ClearAllForwardings=yes -L 1:h:2 -R 5 -D 3 -w 1 h
ssh -w 0:1 h
ssh -w any h
ssh -w 0 h
ssh -w any:3 h
ssh -w x h
ssh -o Tunnel=yes h
ssh -o Tunnel=no -w 1 h
ssh -o Tunnel=ethernet -w 1:2 h
ssh -o TunnelDevice=1:2 h
ssh -o TunnelDevice=1:2 -w 3 h
ssh -o 'LocalForward=1 h:2' h
ssh -o 'LocalForward 1:h:2' h
ssh -o 'LocalForward=/a /b' h
ssh -o 'RemoteForward 2222 localhost:22' h
ssh -o "RemoteForward '1' h:2" h
ssh -o RemoteForward=1080 h
ssh -o DynamicForward=1080 h
ssh -o 'DynamicForward=1080 x' h
ssh -J a,b:22,u@c h
ssh -J none h
ssh -J NONE h
ssh -J ssh://u@j:3 h
ssh -J [::1]:22 h
ssh -J ::1 h
ssh -J ,a h
ssh -J '' h
ssh -J u@ h
ssh -J a/b h
ssh -J a: h
ssh -J 'a,b #c' h
ssh -J '#' h
ssh -J a -J b h
ssh -J a -W x:1 h
ssh -o ProxyCommand=x -J a h
ssh -J a -o ProxyCommand=x h
ssh -o ProxyJump=a -o ProxyJump=b h
ssh -o ProxyJump=none -o ProxyCommand=x h
ssh -J 'a;b' h
ssh -J 'u;v@b,c' h
ssh -o 'ProxyJump=a,b"' h
ssh -J 'u$v@b' h
ssh a,b
ssh -o ProxyCommand=x -o ProxyJump=a h
ssh -o ProxyJump=a@b:x h
ssh -o 'ProxyCommand="a b" c' h
ssh -o 'ProxyCommand = = x' h
ssh -o 'ProxyCommand none' h
ssh -o 'LocalCommand  x "y" #z' -o PermitLocalCommand=yes h
ssh -o 'KnownHostsCommand=/bin/x y' h
ssh -o 'KnownHostsCommand="x' h
ssh -o RemoteCommand=ls h
ssh -o RemoteCommand=ls h x
ssh -o HostName=other h
ssh -o HostName=%h.example.org Web
ssh -o 'Port "2022"' h
ssh -o '"Port" 2022' h
ssh -o 'Port=33 44' h
ssh -o ' Port = 2022' h
ssh -o Port==33 h
ssh -o Port= h
ssh -o Port h
ssh -o Port=2022 -o Port=x h
ssh -o 'User=a b' h
ssh -o 'User="a b"' h
ssh -o 'User=a\\ b' h
ssh -o 'User=a # b' h
ssh -o User=a#b h
ssh -o '# comment' h
ssh -o '' h
ssh -o 'Host x' h
ssh -o 'Match all' h
ssh -o 'Include /x' h
ssh -o SessionType=none h
ssh -o SessionType=none -s h sftp
ssh -o ForkAfterAuthentication=yes h
ssh -o ForkAfterAuthentication=yes -N h
ssh -o StdinNull=yes h
ssh -o IdentityFile=/x -o IdentityFile=/y h
ssh -o 'IdentityFile=/x /y' h
ssh -M -S /tmp/c h
ssh -MM h
ssh -S /x -S /y h
ssh -o ControlPath=/x -S /y h
ssh -S /x -o ControlPath=/y h
ssh -o ControlMaster=auto -M h
ssh -S /x -O forward -R 1:h:2 h
ssh -S /x -O nonsense h
ssh -g -L 1:h:2 h
ssh -o GatewayPorts=yes h
ssh -I /tmp/x.so h
ssh -o PKCS11Provider=/tmp/x.so h
ssh -4 -6 h
ssh -C h
ssh -t h
ssh -tt h
ssh -t -T h
ssh -b 10.0.0.1 h
ssh -o BatchMode=yes h
ssh -- -h
ssh 'u;x@h'
ssh 'h$(id)'
ssh -o 'User=-x' h
"""
COMMAND_LINES = tuple(LINES.strip().split("\n"))

HAVE_SSH = shutil.which("ssh") is not None
IN_CI = os.environ.get("CI") == "true"
needs_openssh = pytest.mark.skipif(
    not HAVE_SSH and not IN_CI, reason="openssh-client, the oracle, is not installed"
)

COMPARED_KEYWORDS = (
    "addressfamily", "batchmode", "bindaddress", "clearallforwardings", "compression",
    "controlmaster", "controlpath", "forkafterauthentication", "forwardagent", "forwardx11",
    "gatewayports", "knownhostscommand", "localcommand", "permitlocalcommand", "pkcs11provider",
    "proxycommand", "remotecommand", "requesttty", "sessiontype", "stdinnull",
    "stricthostkeychecking", "userknownhostsfile",
)  # fmt: skip
# Keywords that other settings imply: `ssh -G` prints them although the arguments do not name them.
IMPLIED_KEYWORDS = {"clearallforwardings", "requesttty", "sessiontype"}

SshConfig = dict[str, list[str]]


def run_ssh_g(args: Iterable[str], home: str) -> SshConfig | None:
    """Return the output of `ssh -G` by keyword, or None if it rejects the arguments."""
    completed = subprocess.run(
        ["ssh", "-G", "-F", "/dev/null", *args],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        env={"HOME": home, "PATH": os.environ["PATH"], "LC_ALL": "C"},
        check=False,
    )
    if completed.returncode != 0:
        return None
    openssh_config: SshConfig = defaultdict(list)
    for line in completed.stdout.decode("utf-8", "surrogateescape").splitlines():
        keyword, _, value = line.partition(" ")
        openssh_config[keyword].append(value)
    return openssh_config


@functools.cache
def is_before_openssh_10_3() -> bool:
    """Return whether this OpenSSH is older than 10.3, which restricted host and user names."""
    return run_ssh_g([","], "/nonexistent") is not None


@functools.cache
def default_config() -> SshConfig:
    openssh_config = run_ssh_g(["defaulthost"], "/nonexistent")
    assert openssh_config is not None
    return openssh_config


def normalize_yes_no(value: str) -> str:
    return {"true": "yes", "false": "no"}.get(value, value)


def format_like_openssh(address: str | None) -> str:
    """Format our address as OpenSSH prints it: `[host]:port`, a bare port, or a path."""
    text = address or ""
    if text.isdigit() or ("/" in text and not text.startswith("[")):
        return text
    host, _, port = text.rpartition(":")
    return f"[{host.removeprefix('[').removesuffix(']')}]:{port}"


def format_forwards(forwards: Iterable[Forward], kind: ForwardKind) -> set[str]:
    def target(forward: Forward) -> str:
        if kind is ForwardKind.REMOTE_DYNAMIC:
            return " [socks]:0"
        return f" {format_like_openssh(forward.target)}" if forward.target else ""

    return {format_like_openssh(f.listen) + target(f) for f in forwards if f.kind is kind}


def parse_jump_hosts(text: str) -> list[tuple[str, str, str]]:
    """Parse a list of `[user@]host[:port]`, without the scheme of a URI, into (user, host, port)."""
    hops = []
    for part in text.split(","):
        user, _, rest = part.removeprefix("ssh://").rpartition("@")
        host, port = re.fullmatch(r"(\[[^]]*\]|[^:]*):?(.*)", rest).groups()  # type: ignore[union-attr]
        hops.append((user, re.sub(r"^\[(.*)\]$", r"\1", host), port))
    return hops


def assert_parsed_like_openssh(args: list[str], home: str) -> None:
    invocation = parse_ssh("ssh", args)
    assert invocation is not None
    openssh_config = run_ssh_g(args[1:], home)
    if openssh_config is None:
        assert invocation.has_finding(FindingKind.INVALID_ARGUMENTS)
        return
    if is_before_openssh_10_3() and invocation.has_finding(FindingKind.INVALID_ARGUMENTS):
        assert any("invalid characters" in finding.message for finding in invocation.findings)
        return
    assert not invocation.has_finding(FindingKind.INVALID_ARGUMENTS), invocation.findings
    assert_same_destination(invocation, openssh_config)
    assert_same_forwards(invocation, openssh_config)
    for keyword in COMPARED_KEYWORDS:
        assert_same_setting(invocation, openssh_config, keyword)
    for identity in invocation.identity_files:
        assert identity in openssh_config["identityfile"]


def assert_same_destination(invocation: SshInvocation, openssh_config: SshConfig) -> None:
    hostname = openssh_config["hostname"][0].lower()
    # OpenSSH keeps the brackets of a bare [::1] and then fails to resolve it; the parser removes them.
    assert (invocation.destination or "") == re.sub(r"^\[(.*:.*)\]$", r"\1", hostname)
    assert openssh_config["user"] == (
        [invocation.user] if invocation.user else openssh_config["user"]
    )
    if invocation.user is None:
        assert openssh_config["user"] in (default_config()["user"], [""])
    assert openssh_config["port"] == [str(invocation.port or 22)]
    ours = [(hop.user or "", hop.host, str(hop.port or "")) for hop in invocation.jump_hosts]
    assert ours == [hop for line in openssh_config["proxyjump"] for hop in parse_jump_hosts(line)]


def assert_same_forwards(invocation: SshInvocation, openssh_config: SshConfig) -> None:
    def theirs(keyword: str) -> set[str]:
        return {re.sub(r"^\[\]:", "[*]:", line) for line in openssh_config[keyword]}

    local = format_forwards(invocation.forwards, ForwardKind.LOCAL)
    # For a forward to a socket, -G also prints a dynamicforward that does not exist.
    to_socket = {line.partition(" ")[0] for line in local if re.search(r" \S*/", line)}
    remote = format_forwards(invocation.forwards, ForwardKind.REMOTE)
    remote |= format_forwards(invocation.forwards, ForwardKind.REMOTE_DYNAMIC)
    assert local == theirs("localforward")
    dynamic = format_forwards(invocation.forwards, ForwardKind.DYNAMIC)
    assert dynamic | to_socket == theirs("dynamicforward")
    assert remote == theirs("remoteforward")
    cleared = openssh_config["clearallforwardings"] == ["yes"]
    tuns = [f"{f.listen}:{f.target}" for f in invocation.forwards if f.kind is ForwardKind.TUN]
    open_tun = openssh_config["tunnel"] != ["false"] and not cleared
    assert tuns == (openssh_config["tunneldevice"] if open_tun else [])


def assert_same_setting(invocation: SshInvocation, openssh_config: SshConfig, keyword: str) -> None:
    ours = invocation.options.get(keyword)
    theirs = [normalize_yes_no(value) for value in openssh_config[keyword]]
    if ours is None:
        if keyword not in IMPLIED_KEYWORDS:
            assert theirs == [normalize_yes_no(value) for value in default_config()[keyword]], (
                keyword
            )
    elif keyword == "forwardagent" and ours == "no":
        assert theirs != ["yes"]  # -G prints a named socket even if it is not used
    elif is_before_openssh_10_3() and keyword == "proxycommand" and not theirs:
        pass  # suppressed by ProxyJump=none
    elif ours.lower() == "none" and not theirs:
        pass  # -G omits a command that is "none"
    else:
        assert theirs == [normalize_yes_no(ours)], keyword


def test_ci_has_openssh_installed() -> None:
    assert HAVE_SSH or not IN_CI, "CI must have openssh-client"


@needs_openssh
@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_line_is_parsed_like_openssh(
    line: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert_parsed_like_openssh(shlex.split(line), str(tmp_path_factory.getbasetemp()))


hosts = st.sampled_from(
    ["h", "u@h", "a@b@h", "ssh://h:44", "ssh://v@h", "::1", "[::1]", "X.Y", "@", "-"]
)
addresses = st.sampled_from(
    [
        "1",
        "0",
        "80",
        "http",
        "a",
        "*",
        "",
        "localhost",
        "[::1]",
        "[::1",
        "/a",
        "/b/c",
        "a\\:b",
        "any",
    ]
)
specs = st.lists(addresses, max_size=5).map(":".join)
flags = st.text("AaXxYNnTtfMsgCv46kKqy", min_size=1, max_size=4).map("-{}".format)
keywords = st.sampled_from(
    ["Port", "USER", "ForwardAgent", "forwardx11", "StrictHostKeyChecking", "Tunnel", "SessionType",
     "ClearAllForwardings", "LocalForward", "RemoteForward", "DynamicForward", "ProxyJump",
     "ProxyCommand", "GatewayPorts", "RemoteCommand", "ControlMaster", "TunnelDevice", "StdinNull",
     "ForkAfterAuthentication", "RequestTTY", "HostName", "IdentityFile"]
)  # fmt: skip
settings_values = st.one_of(
    st.sampled_from(["yes", "no", "None", "auto", "true", "off", "22", "1 h:2", "/a /b",
                     '"a b"', "a # b", "'1' h:2", "a\\ b", '"', "accept-new", "ethernet", "u@j:3", "force"]),
    specs,
)  # fmt: skip
lines = st.tuples(
    st.sampled_from(["", " ", '"']),
    keywords,
    st.sampled_from(["=", " ", " = ", "==", '" ']),
    settings_values,
    st.sampled_from(["", " ", "\t"]),
).map("".join)


def valued(letters: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    letter = st.sampled_from(letters)
    return st.one_of(
        st.tuples(letter, values).map(lambda pair: [f"-{pair[0]}", pair[1]]),
        st.tuples(letter, values).map(lambda pair: [f"-{pair[0]}{pair[1]}"]),
        st.tuples(flags, letter, values).map(lambda option: [option[0] + option[1], option[2]]),
    )


options = st.one_of(
    flags.map(lambda flag: [flag]),
    valued("LRDWwpJ", specs),
    valued("l", st.sampled_from(["a", "b", "--", "-p", ""])),
    valued("pJ", st.sampled_from(["22", "99", "a,b", "u@j:3", "none", "ssh://j", "x/y", " 7"])),
    valued("S", st.sampled_from(["/s", "none"])),
    valued("o", lines),
    st.just(["--"]),
)
parts = st.lists(options, max_size=4).map(lambda lists: [word for words in lists for word in words])
command_lines = st.tuples(
    parts, hosts, parts, st.lists(st.sampled_from(["ls", "-p", "9", "--", "-N"]))
).map(lambda line: ["ssh", *line[0], line[1], *line[2], *line[3]])
# Excluded are options that write files, load configuration or only print, and options whose allowed
# values differ between releases (ciphers, keys, tags).
random_arguments = st.lists(st.text("-aAfNnLRDWJlpTxXstwgM12:@[]/h, ", max_size=6), max_size=8).map(
    lambda words: ["ssh", *words]
)

limited_examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@needs_openssh
@limited_examples
@given(args=command_lines)
def test_a_generated_command_line_is_parsed_like_openssh(
    args: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert_parsed_like_openssh(args, str(tmp_path_factory.getbasetemp()))


@needs_openssh
@limited_examples
@given(args=random_arguments)
def test_random_arguments_are_parsed_like_openssh(
    args: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert_parsed_like_openssh(args, str(tmp_path_factory.getbasetemp()))
