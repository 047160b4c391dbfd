"""The table of findings: each kind with its label, its risk and how it is found in a Reading.

What a finding looks at and says is in client_findings and daemon_findings; adding one is a line
there and a member of FindingKind.
"""

from app.domain.ssh.client_findings import CLIENT_FINDINGS
from app.domain.ssh.daemon_findings import DAEMON_FINDINGS
from app.domain.ssh.finding_rule import FindingRule, Said
from app.domain.ssh.reading import Reading
from app.domain.ssh.shown import shown
from app.domain.ssh.use import Finding, FindingKind, SshRole


def _passwords(reading: Reading) -> Said:
    for password in reading.passwords:
        yield (
            "A password stands in the arguments, where every process on the host can read it:"
            " treat it as exposed and change it.",
            password.indexes,
        )


def _nothing_done(reading: Reading) -> Said:
    if reading.no_op is not None:
        option = reading.no_op
        does = "reports or checks something and leaves"
        if option.value.startswith("-O"):
            does = "talks to a connection that is open already"
        yield (
            f"Opened no connection: with {option.value} {reading.program} only {does}.",
            option.indexes,
        )


def _refused(reading: Reading) -> Said:
    if reading.problem is not None:
        yield (
            f"Probably failed at once: {reading.problem.value}, which OpenSSH refuses.",
            reading.problem.indexes,
        )


_EVERY_ROLE = frozenset(SshRole)
_SHARED = (
    FindingRule(
        FindingKind.PASSWORD_ARGUMENT, "password in arguments", 10, _passwords, _EVERY_ROLE
    ),
    FindingRule(FindingKind.NOTHING_DONE, "no connection", -40, _nothing_done, _EVERY_ROLE),
    FindingRule(FindingKind.REFUSED, "probably refused", 0, _refused, _EVERY_ROLE),
)
FINDINGS: tuple[FindingRule, ...] = (*CLIENT_FINDINGS, *DAEMON_FINDINGS, *_SHARED)


def find(reading: Reading) -> tuple[Finding, ...]:
    """All findings, in the order of the table: what matters most stands first."""
    return tuple(
        Finding(rule.kind, shown(sentence), indexes, rule.risk, rule.short)
        for rule in FINDINGS
        if reading.role in rule.roles
        for sentence, indexes in rule.look(reading)
    )
