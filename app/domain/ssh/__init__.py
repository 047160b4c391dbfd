"""OpenSSH arguments read as OpenSSH reads them: role, destination, forwards, findings.

The one way in is `read_ssh`; storing, grouping and showing the result are left to others.
"""

from app.domain.ssh.headline import headline
from app.domain.ssh.masking import MASK, masked, masked_line
from app.domain.ssh.read import read_ssh
from app.domain.ssh.tokens import Token, TokenKind, tokens
from app.domain.ssh.use import (
    Finding,
    FindingKind,
    Forward,
    ForwardKind,
    Hop,
    SshRole,
    SshUse,
)

__all__ = [
    "MASK",
    "Finding",
    "FindingKind",
    "Forward",
    "ForwardKind",
    "Hop",
    "SshRole",
    "SshUse",
    "Token",
    "TokenKind",
    "headline",
    "masked",
    "masked_line",
    "read_ssh",
    "tokens",
]
