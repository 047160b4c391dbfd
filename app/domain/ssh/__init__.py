"""Parser of SSH command lines, which follows OpenSSH.

The entry point is `parse_ssh`. It returns the role of the process, the destination, the forwards and the
findings (facts that matter to an analyst).
"""

from app.domain.ssh.findings import add_event_findings
from app.domain.ssh.headline import build_headline
from app.domain.ssh.highlight import Token, TokenKind, highlight_arguments
from app.domain.ssh.hosts import normalize_host
from app.domain.ssh.masking import MASK, mask_passwords, masked_command_line
from app.domain.ssh.model import (
    Finding,
    FindingKind,
    Forward,
    ForwardKind,
    HostSpec,
    SshInvocation,
    SshRole,
)
from app.domain.ssh.parse import parse_ssh
from app.domain.ssh.program import masking_name

__all__ = [
    "MASK",
    "Finding",
    "FindingKind",
    "Forward",
    "ForwardKind",
    "HostSpec",
    "SshInvocation",
    "SshRole",
    "Token",
    "TokenKind",
    "add_event_findings",
    "build_headline",
    "highlight_arguments",
    "mask_passwords",
    "masked_command_line",
    "masking_name",
    "normalize_host",
    "parse_ssh",
]
