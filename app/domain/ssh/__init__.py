"""OpenSSH arguments read as OpenSSH reads them: role, destination, forwards, findings.

The one way in is `parse_ssh`; storing, grouping and showing the result are left to others.
"""

from app.domain.ssh.headline import build_headline
from app.domain.ssh.highlight import Token, TokenKind, highlight_arguments
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
    "build_headline",
    "highlight_arguments",
    "mask_passwords",
    "masked_command_line",
    "parse_ssh",
]
