"""The table of findings: each kind with its label, its risk and how it is found in a ParseState.

What a finding looks at and says is in client_findings and daemon_findings; adding one is a line
there and a member of FindingKind.
"""

from app.domain.ssh.client_findings import CLIENT_FINDING_RULES
from app.domain.ssh.finding_rule import FindingMessages, FindingRule
from app.domain.ssh.model import Finding, FindingKind, SshRole
from app.domain.ssh.parse_state import ParseState
from app.domain.ssh.server_findings import SERVER_FINDING_RULES
from app.domain.ssh.shown import truncate_message


def _password_arguments(state: ParseState) -> FindingMessages:
    for password in state.passwords:
        yield (
            "A password stands in the arguments, where every process on the host can read it:"
            " treat it as exposed and change it.",
            password.arg_indexes,
        )


def _no_connection(state: ParseState) -> FindingMessages:
    if state.no_op_option is not None:
        option = state.no_op_option
        does = "reports or checks something and leaves"
        if option.value.startswith("-O"):
            does = "talks to a connection that is open already"
        yield (
            f"Opened no connection: with {option.value} {state.program} only {does}.",
            option.arg_indexes,
        )


def _invalid_arguments(state: ParseState) -> FindingMessages:
    if state.error is not None:
        yield (
            f"Probably failed at once: {state.error.value}, which OpenSSH refuses.",
            state.error.arg_indexes,
        )


_ALL_ROLES = frozenset(SshRole)
_COMMON_FINDING_RULES = (
    FindingRule(
        FindingKind.PASSWORD_ARGUMENT, "password in arguments", 10, _password_arguments, _ALL_ROLES
    ),
    FindingRule(FindingKind.NO_CONNECTION, "no connection", -40, _no_connection, _ALL_ROLES),
    FindingRule(
        FindingKind.INVALID_ARGUMENTS, "probably refused", 0, _invalid_arguments, _ALL_ROLES
    ),
)
FINDING_RULES: tuple[FindingRule, ...] = (
    *CLIENT_FINDING_RULES,
    *SERVER_FINDING_RULES,
    *_COMMON_FINDING_RULES,
)


def collect_findings(state: ParseState) -> tuple[Finding, ...]:
    """All findings, in the order of the table: what matters most stands first."""
    return tuple(
        Finding(rule.kind, truncate_message(message), arg_indexes, rule.risk, rule.label)
        for rule in FINDING_RULES
        if state.role in rule.roles
        for message, arg_indexes in rule.find_messages(state)
    )
