"""Response models for the process of an alert: its SSH command line and its parent.

All texts come from events, so an attacker may have written them. Passwords are masked.
"""

from pydantic import BaseModel, Field

from app.domain.event import Event, Process
from app.domain.ssh import HostSpec, SshInvocation


class HostOut(BaseModel):
    host: str
    user: str | None
    port: int | None


class ForwardOut(BaseModel):
    """A forward of ports, sockets or a network device."""

    kind: str = Field(description="local, remote, dynamic, remote dynamic, stdio or tun.")
    listen: str | None = Field(description="Address or device on the listening side.")
    target: str | None = Field(description="Address or device behind the forward.")


class FindingOut(BaseModel):
    kind: str
    message: str
    risk: int = Field(description="Points that the finding adds to the priority of the alert.")


class SshOut(BaseModel):
    """An SSH command line."""

    program: str
    alias: str | None = Field(description="Process name, if it hides the program; otherwise null.")
    role: str
    destination: str | None
    user: str | None
    port: int | None
    jump_hosts: list[HostOut]
    key_files: list[str]
    config_file: str | None
    forwards: list[ForwardOut]
    remote_command: list[str]
    findings: list[FindingOut]


class ProcessOut(BaseModel):
    name: str | None
    executable: str | None
    command_line: str
    pid: int | None
    user: str | None


def ssh_out(invocation: SshInvocation) -> SshOut:
    return SshOut(
        program=invocation.program,
        alias=invocation.alias,
        role=invocation.role,
        destination=invocation.destination,
        user=invocation.user,
        port=invocation.port,
        jump_hosts=[_host_out(host) for host in invocation.jump_hosts],
        key_files=list(invocation.identity_files),
        config_file=invocation.config_file,
        forwards=[
            ForwardOut(kind=forward.kind, listen=forward.listen, target=forward.target)
            for forward in invocation.forwards
        ],
        remote_command=list(invocation.remote_command),
        findings=[
            FindingOut(kind=finding.kind, message=finding.message, risk=finding.risk)
            for finding in invocation.findings
        ],
    )


def process_out(process: Process) -> ProcessOut:
    return ProcessOut(
        name=process.name,
        executable=process.executable,
        command_line=process.command_line,
        pid=process.pid,
        user=process.user_name,
    )


def event_fields(event: Event | None) -> dict[str, SshOut | ProcessOut | None]:
    """Return the fields `ssh` and `parent` of an alert; both are None if its event is no longer stored."""
    if event is None:
        return {"ssh": None, "parent": None}
    return {
        "ssh": ssh_out(event.ssh) if event.ssh else None,
        "parent": process_out(event.parent) if event.parent else None,
    }


def _host_out(host: HostSpec) -> HostOut:
    return HostOut(host=host.host, user=host.user, port=host.port)
