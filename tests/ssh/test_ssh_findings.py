"""Finding messages, headlines, highlighting and masking of SSH command lines (long because of tables)."""

import shlex
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import FrameType
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.ssh import (
    MASK,
    FindingKind,
    SshInvocation,
    SshRole,
    Token,
    TokenKind,
    build_headline,
    highlight_arguments,
    mask_passwords,
    masked_command_line,
    parse_ssh,
)
from app.domain.ssh.findings import EVENT_FINDING_KINDS, FINDING_RULES

TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]
PROGRAM_NAMES = (
    "ssh", "sshd", "autossh", "slogin", "sshd-session", "sshd-auth", "sshpass", "scp", "sftp",
    "dbclient", "dropbear",
)  # fmt: skip


def parse(line: str) -> SshInvocation:
    args = shlex.split(line)
    invocation = parse_ssh(args[0].split(":")[0], args)
    assert invocation is not None
    return invocation


def message(line: str, kind: FindingKind) -> str:
    return next(finding.message for finding in parse(line).findings if finding.kind is kind)


MESSAGES = [
    ("ssh -R 2222:localhost:22 h", FindingKind.REMOTE_FORWARD,
     "Opens port 2222 on the remote host, forwarding to localhost:22 in this container."),
    ("ssh -R 0:localhost:22 h", FindingKind.REMOTE_FORWARD,
     "Opens a port chosen by the server on the remote host, forwarding to localhost:22"
     " in this container."),
    ("ssh -R 2222:db:5432 h", FindingKind.REMOTE_FORWARD,
     "Opens port 2222 on the remote host, forwarding to db:5432 through this container."),
    ("ssh -R 2222:/run/docker.sock h", FindingKind.REMOTE_FORWARD,
     "Opens port 2222 on the remote host, forwarding to /run/docker.sock in this"
     " container."),
    ("ssh -R 0.0.0.0:2222:localhost:22 h", FindingKind.REMOTE_FORWARD,
     "Opens 0.0.0.0:2222 on the remote host, forwarding to localhost:22 in this"
     " container."),
    ("ssh -R 1080 h", FindingKind.REMOTE_DYNAMIC_FORWARD,
     "Opens a SOCKS proxy on the remote host, on port 1080. The proxy gives access to every host that"
     " this container can reach."),
    ("ssh -L /tmp/s:db:5432 h", FindingKind.LOCAL_FORWARD,
     "Opens the socket /tmp/s in this container and forwards connections to db:5432 through the"
     " remote host."),
    ("ssh -L 8080:localhost:80 h", FindingKind.LOCAL_FORWARD,
     "Opens port 8080 in this container and forwards connections to localhost:80 on the remote host."),
    ("ssh -W db:22 h", FindingKind.STDIO_FORWARD,
     "Forwards its standard input and output to db:22 through the remote host, which is then the"
     " jump host of another connection."),
    ("ssh -f h uptime", FindingKind.BACKGROUND, "Keeps running in the background."),
    ("ssh -J a,u@b:2200 h", FindingKind.JUMP_HOST,
     "Connects through the jump host a, then b:2200: check it for a session from this container."),
    ("ssh -o HostName=evil.example good", FindingKind.DISGUISED_DESTINATION,
     "Names good as the destination but connects to evil.example."),
    ("ssh 3405803785", FindingKind.DISGUISED_DESTINATION,
     "Writes the address 203.0.113.9 in the unusual form 3405803785."),
    ("ssh -s h sftp", FindingKind.REMOTE_COMMAND, "Requests the subsystem sftp."),
    ("ssh -L x h", FindingKind.INVALID_ARGUMENTS,
     "Probably failed immediately, because OpenSSH rejects these arguments: invalid local forward"
     " 'x'."),
    ("ssh -V", FindingKind.NO_CONNECTION,
     "Opened no connection: with -V, ssh only prints information and exits."),
    ("sshd -p 2222", FindingKind.DAEMON_PORT, "Listens on port 2222 instead of 22."),
    ("sshd -oMaxSessions=1", FindingKind.DAEMON_OVERRIDE,
     "Sets the option maxsessions to 1 on the command line."),
    ("'sshd: erp@notty'", FindingKind.INBOUND_SESSION,
     "erp is logged in to this container over SSH without a terminal."),
    ("'sshd: erp [priv]'", FindingKind.INBOUND_SESSION,
     "A user is logging in to this container as erp over SSH."),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "expected"), MESSAGES)
def test_a_finding_has_a_message(line: str, kind: FindingKind, expected: str) -> None:
    assert message(line, kind) == expected


def test_every_finding_kind_has_a_rule() -> None:
    assert {rule.kind for rule in FINDING_RULES} == set(FindingKind) - EVENT_FINDING_KINDS


HEADLINES = [
    ("ssh -fN -R 2222:localhost:22 -p 443 u@203.0.113.9",
     "Reverse tunnel out of checkout-7d9f to 203.0.113.9:443"),
    ("ssh -R 1080 h", "Reverse SOCKS proxy out of checkout-7d9f to h"),
    ("ssh -w any h", "Network tunnel out of checkout-7d9f to h"),
    ("ssh -D 1080 -L 1:h:2 h", "SOCKS proxy opened from checkout-7d9f to h"),
    ("ssh -L 1:h:2 h", "Tunnel opened from checkout-7d9f to h"),
    ("ssh -W db:22 ::1 -p 9", "Stdio forward opened from checkout-7d9f to [::1]:9"),
    ("ssh deploy@bastion.corp.example", "ssh to bastion.corp.example as deploy"),
    ("ssh h", "ssh to h"),
    ("ssh -z h", "ssh to h, invalid arguments"),
    ("ssh", "ssh without a destination in checkout-7d9f, invalid arguments"),
    ("autossh -M 0 h", "autossh keeps a connection open from checkout-7d9f to h"),
    ("sshd -D -p 22", "sshd started inside checkout-7d9f, port 22"),
    ("sshd", "sshd started inside checkout-7d9f"),
    ("'sshd: erp [priv]'", "sshd session for erp in checkout-7d9f"),
    ("'sshd-session: erp@pts/0'", "sshd session for erp in checkout-7d9f"),
    ("scp -t /tmp", "scp session in checkout-7d9f"),
    ("ssh -V", "version check only: ssh -V"),
    ("ssh -G h", "configuration check only: ssh -G"),
    ("ssh -O exit h", "no connection: ssh -O exit"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), HEADLINES)
def test_a_headline_summarises_the_command_line(line: str, expected: str) -> None:
    assert build_headline(parse(line), container="checkout-7d9f") == expected


def test_a_headline_needs_no_container_name() -> None:
    assert build_headline(parse("sshd"), container=None) == "sshd started inside a container"


def test_a_process_without_arguments_has_no_findings() -> None:
    invocation = parse_ssh("ssh", [])
    assert invocation is not None
    assert invocation.findings == ()
    assert build_headline(invocation, container="c") == "ssh started in c"


@pytest.mark.parametrize(
    "name", ["bash", "", "sshfs", "SSH", "ssh-agent", "ssh/", "/usr/bin/openssh"]
)
def test_other_programs_are_not_parsed(name: str) -> None:
    assert parse_ssh(name, [name, "h"]) is None


def test_the_process_name_may_be_a_path() -> None:
    invocation = parse_ssh("/opt/x/ssh", ["harmless", "h"])
    assert invocation is not None
    assert (invocation.program, invocation.destination) == ("ssh", "h")


MASKED = [
    ("sshpass -p secret ssh h", f"sshpass -p {MASK} ssh h"),
    ("sshpass -psecret ssh h", f"sshpass -p{MASK} ssh h"),
    ("sshpass -vpsecret ssh h", f"sshpass -vp{MASK} ssh h"),
    ("sshpass -P prompt -v -p secret ssh h", f"sshpass -P prompt -v -p {MASK} ssh h"),
    ("sshpass -f file -p secret", f"sshpass -f file -p {MASK}"),
    ("sshpass -d3 ssh -p 22 h", "sshpass -d3 ssh -p 22 h"),
    ("sshpass -e ssh -p 22 h", "sshpass -e ssh -p 22 h"),
    ("sshpass -- ssh -p 22 h", "sshpass -- ssh -p 22 h"),
    ("sshpass -p", "sshpass -p"),
    ("timeout 5 /usr/bin/sshpass -p secret ssh h", f"timeout 5 /usr/bin/sshpass -p {MASK} ssh h"),
    ("sshpass -p a sshpass -p b ssh h", f"sshpass -p {MASK} sshpass -p {MASK} ssh h"),
    ("ssh -p 22 h", "ssh -p 22 h"),
    ("ssh ssh://u:secret@h:22", f"ssh ssh://u:{MASK}@h:22"),
    ("ssh ssh://u:se/cr@et@h", f"ssh ssh://u:{MASK}@h"),
    ("ssh ssh://u@h:22", "ssh ssh://u@h:22"),
    ("ssh h curl https://u:secret@repo/x", f"ssh h curl https://u:{MASK}@repo/x"),
    ("ssh h 'git clone https://u:secret@repo/x'", f"ssh h 'git clone https://u:{MASK}@repo/x'"),
    ("ssh h tool --password=secret", f"ssh h tool --password={MASK}"),
    ("ssh h tool --password secret", f"ssh h tool --password {MASK}"),
    ("ssh h 'tool --passphrase=\"se cret\" x'", f"ssh h 'tool --passphrase={MASK} x'"),
    ("ssh h PGPASSWORD=secret psql", f"ssh h PGPASSWORD={MASK} psql"),
    ("env SSHPASS=secret sshpass -e ssh h", f"env SSHPASS={MASK} sshpass -e ssh h"),
    ("ssh -o PasswordAuthentication=yes h", "ssh -o PasswordAuthentication=yes h"),
    ("ssh -o 'ProxyCommand=sshpass -p secret ssh -W %h:%p j' h",
     f"ssh -o 'ProxyCommand=sshpass -p {MASK} ssh -W %h:%p j' h"),
    ("sh -c 'x; (sshpass -p \"se cret\" ssh h)'", f"sh -c 'x; (sshpass -p {MASK} ssh h)'"),
    ("sh -c 'sh -c \"sshpass -psecret ssh h\"'", f"sh -c 'sh -c \"sshpass -p{MASK} ssh h\"'"),
    ("sh -c 'sshpass -p secret ssh h && sshpass -p other ssh i'",
     f"sh -c 'sshpass -p {MASK} ssh h && sshpass -p {MASK} ssh i'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), MASKED)
def test_a_password_is_masked(line: str, expected: str) -> None:
    assert masked_command_line(shlex.split(line)) == expected


def test_a_renamed_sshpass_is_masked_by_its_process_name() -> None:
    assert mask_passwords(["x", "-p", "secret", "ssh"], name="/bin/sshpass") == (
        "x",
        "-p",
        MASK,
        "ssh",
    )


@pytest.mark.parametrize(("line", "expected"), [row for row in MASKED if "secret" in row[0]])
def test_passwords_do_not_appear_in_parsed_values(line: str, expected: str) -> None:
    args = shlex.split(line)
    for name in (args[0], "ssh"):
        invocation = parse_ssh(name, args)
        assert "secret" not in repr(invocation)
        assert "secret" not in repr(highlight_arguments(args, invocation))
        if invocation is not None:
            assert "secret" not in build_headline(invocation, container=None)


def test_a_masked_line_is_quoted_for_the_shell() -> None:
    assert masked_command_line(["ssh", "", "a b", "it's"]) == """ssh '' 'a b' 'it'"'"'s'"""


def test_each_argument_is_highlighted_by_its_findings() -> None:
    args = shlex.split("ssh -v -R 2222:localhost:22 -i ~/k u@h id -a")
    highlighted = highlight_arguments(args, parse_ssh("ssh", args))
    assert [(token.text, token.kind.value) for token in highlighted] == [
        ("ssh", "plain"),
        ("-v", "option"),
        ("-R", "danger"),
        ("2222:localhost:22", "danger"),
        ("-i", "warning"),
        ("~/k", "warning"),
        ("u@h", "destination"),
        ("id", "warning"),
        ("-a", "warning"),
    ]
    assert highlighted[3].messages == (
        "Opens port 2222 on the remote host, forwarding to localhost:22 in this container.",
    )


def test_a_disguised_destination_is_highlighted_as_danger() -> None:
    args = ["ssh", "-oHostName=evil.example", "good"]
    assert {token.kind for token in highlight_arguments(args, parse_ssh("ssh", args))[1:]} == {
        TokenKind.DANGER
    }


def test_arguments_without_an_invocation_are_only_masked() -> None:
    assert highlight_arguments(["x", "-p"], None) == (
        Token("x", TokenKind.PLAIN, ()),
        Token("-p", TokenKind.OPTION, ()),
    )


def test_a_long_message_is_truncated_with_a_count() -> None:
    invocation = parse_ssh("ssh", ["ssh", "h", "x" * 1_000_000])
    assert invocation is not None
    text = invocation.findings[0].message
    assert text.endswith("more characters)")
    assert len(text) < 500


hostile_arguments = st.text(st.characters(), max_size=12) | st.sampled_from(
    [
        "-",
        "--",
        "-o",
        "-J",
        "-R",
        "-L",
        "-W",
        "-w",
        "-p",
        "-F",
        "\x00",
        "\udcff",
        "\u202e",
        "%h",
        "[",
    ]
)


def assert_invariants(name: str, args: Sequence[str]) -> None:
    invocation = parse_ssh(name, args)
    assert invocation is not None
    highlighted = highlight_arguments(args, invocation)
    assert len(highlighted) == len(mask_passwords(args)) == len(args)
    assert all(0 <= i < len(args) for finding in invocation.findings for i in finding.arg_indexes)
    assert all(a < b for finding in invocation.findings for a, b in pairwise(finding.arg_indexes))
    assert all(0 <= i < len(args) for i in invocation.destination_indexes)
    assert build_headline(invocation, container="c")
    assert isinstance(masked_command_line(args), str)
    assert (invocation.role is SshRole.NO_OP) == (invocation.no_op_option is not None)


@settings(deadline=None)
@given(name=st.sampled_from(PROGRAM_NAMES), args=st.lists(hostile_arguments, max_size=10))
def test_hostile_arguments_do_not_raise(name: str, args: list[str]) -> None:
    assert_invariants(name, args)


@settings(deadline=None)
@given(
    name=st.sampled_from(PROGRAM_NAMES),
    letter=st.sampled_from("bBcDeEfFhiIJlLmMoOpPQRsSwW"),
    value=st.text("%h=:,[]@\\/\"' \t#0129a-noneyssh", max_size=20),
)
def test_hostile_option_values_do_not_raise(name: str, letter: str, value: str) -> None:
    assert_invariants(name, [name, f"-{letter}", value, "h"])
    assert_invariants(name, [name, f"-{letter}{value}", value])


# Arguments with about n characters or n words, each designed to make a parser backtrack.
HUGE_ARGUMENTS: dict[str, Callable[[int], list[str]]] = {
    "many words": lambda n: ["x"] * n,
    "many flags": lambda n: ["-v"] * n,
    "many forwards": lambda n: [w for port in range(1, n) for w in ("-R", f"{port}:h:22")],
    "many settings": lambda n: ["-oForwardAgent=yes"] * n,
    "many repeated settings": lambda n: ["-oHostKey=/k", "-p22"] * n,
    "many wrappers": lambda n: ["sshpass"] * n,
    "many passwords": lambda n: ["-psecret"] * n,
    "many masks": lambda n: ["ssh://a:b@c"] * n,
    "one cluster": lambda n: ["-" + "v" * n],
    "one unknown cluster": lambda n: ["-" + "z" * n],
    "one host": lambda n: ["h" * n],
    "one number": lambda n: ["0" * n],
    "one address": lambda n: [":" * n],
    "one bracket": lambda n: ["[" * n],
    "one port": lambda n: ["-p", "0" * n + "x", "h"],
    "one forward": lambda n: ["-L", "\\a" * n, "h"],
    "one jump list": lambda n: ["-J", ",".join(["u@h:1"] * n), "h"],
    "one quote": lambda n: ["-o", "ProxyCommand=" + "'" * (2 * n + 1), "h"],
    "one setting": lambda n: ["-o", " " * n + "Port" + " " * n + "=" * n, "h"],
    "one URI": lambda n: ["ssh://" + "a:" * n],
    "many URIs": lambda n: ["x" + "://a:b" * n],
    "one shell line": lambda n: ["-c", "sshpass -p 'a " * n],
    "one host of many": lambda n: ["-o", "HostName=" + "%h" * n, "h" * n],
    "one title": lambda n: ["erp@" * n],
    "one stage": lambda n: ["[" * n],
    "one domain": lambda n: ["a" + ".a" * n],
}
# A single program name for each parser.
PARSED_PROGRAMS = ("ssh", "autossh", "sshd", "sshpass", "scp", "dbclient", "dropbear")


@pytest.mark.parametrize("case", [case for case in HUGE_ARGUMENTS if case.startswith("one ")])
def test_an_argument_of_a_megabyte_is_parsed(case: str) -> None:
    # Line counts do not include work inside str and re; with backtracking there, this would take hours.
    for name in ("ssh", "sshd"):
        invocation = parse_ssh(
            name, [name, *HUGE_ARGUMENTS[case](500_000 if "cluster" not in case else 100_000)]
        )
        assert invocation is not None


def test_a_hundred_thousand_arguments_are_parsed() -> None:
    for name in ("ssh", "sshd"):
        assert_invariants(name, [name, *["x"] * 100_000])


def count_executed_lines(name: str, args: list[str]) -> int:
    """Return the number of Python lines executed for `args`, a measure of work without a clock."""
    count = 0

    def trace(_frame: FrameType, event: str, _arg: object) -> TraceFunction:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        invocation = parse_ssh(name, args)
        highlight_arguments(args, invocation)
        masked_command_line(args)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("case", HUGE_ARGUMENTS)
@pytest.mark.parametrize("name", PARSED_PROGRAMS)
def test_parsing_time_grows_linearly_with_the_arguments(name: str, case: str) -> None:
    base, fourfold = (
        count_executed_lines(name, [name, *HUGE_ARGUMENTS[case](size)]) for size in (100, 400)
    )
    assert fourfold < 4.5 * base + 500
