"""The table of all finding rules, and a function that applies them to a ParseState.

To add a kind of finding, add a member to FindingKind and a row to client_findings.py or server_findings.py.
"""

from app.domain.ssh.client_findings import CLIENT_FINDING_RULES
from app.domain.ssh.finding_rule import FindingMessages, FindingRule
from app.domain.ssh.model import Finding, FindingKind, SshRole
from app.domain.ssh.parse_state import ParseState
from app.domain.ssh.server_findings import SERVER_FINDING_RULES
from app.domain.text import truncate_with_count


def _password_arguments(state: ParseState) -> FindingMessages:
    for password in state.passwords:
        yield (
            "The arguments contain a password, which every process on the host can read: change the"
            " password.",
            password.arg_indexes,
        )


def _no_connection(state: ParseState) -> FindingMessages:
    if state.no_op_option is not None:
        option = state.no_op_option
        action = "prints information and exits"
        if option.value.startswith("-O"):
            action = "controls an existing shared connection"
        yield (
            f"Opened no connection: with {option.value}, {state.program} only {action}.",
            option.arg_indexes,
        )


def _invalid_arguments(state: ParseState) -> FindingMessages:
    if state.error is not None:
        yield (
            f"Probably failed immediately, because OpenSSH rejects these arguments: {state.error.value}.",
            state.error.arg_indexes,
        )


# Messages quote arguments. These can be a megabyte long, but a message must fit on a page.
MAX_MESSAGE_LENGTH = 400
_ALL_ROLES = frozenset(SshRole)
_COMMON_FINDING_RULES = (
    FindingRule(FindingKind.PASSWORD_ARGUMENT, 10, _password_arguments, _ALL_ROLES),
    FindingRule(FindingKind.NO_CONNECTION, -40, _no_connection, _ALL_ROLES),
    FindingRule(FindingKind.INVALID_ARGUMENTS, 0, _invalid_arguments, _ALL_ROLES),
)
FINDING_RULES: tuple[FindingRule, ...] = (
    *CLIENT_FINDING_RULES,
    *SERVER_FINDING_RULES,
    *_COMMON_FINDING_RULES,
)


def collect_findings(state: ParseState) -> tuple[Finding, ...]:
    """Return all findings in the order of FINDING_RULES."""
    return tuple(
        Finding(
            rule.kind,
            truncate_with_count(message, MAX_MESSAGE_LENGTH),
            arg_indexes,
            rule.risk,
        )
        for rule in FINDING_RULES
        if state.role in rule.roles
        for message, arg_indexes in rule.find_messages(state)
    )
