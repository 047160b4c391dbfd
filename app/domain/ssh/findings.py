"""The table of all finding rules, and a function that applies them to a ParseState.

To add a kind of finding, add a member to FindingKind and a row to client_findings.py or server_findings.py.
"""

from collections.abc import Collection
from dataclasses import replace

from app.domain.ssh.client_findings import CLIENT_FINDING_RULES
from app.domain.ssh.finding_rule import FindingMessages, FindingRule
from app.domain.ssh.model import Finding, FindingKind, SshInvocation, SshRole
from app.domain.ssh.node_addresses import describe_node_address
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


def _renamed(state: ParseState) -> FindingMessages:
    if state.alias is not None:
        yield (
            f"{state.program} runs under the name {state.alias}, so rules that test the process name do not"
            " find it.",
            state.program_indexes,
        )


def _no_connection(state: ParseState) -> FindingMessages:
    if state.no_op_option is not None and state.alias is None:
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
_NODE_ADDRESS_RISK = 20
_ALL_ROLES = frozenset(SshRole)
_COMMON_FINDING_RULES = (
    FindingRule(FindingKind.PASSWORD_ARGUMENT, 10, _password_arguments, _ALL_ROLES),
    FindingRule(FindingKind.RENAMED, 10, _renamed, _ALL_ROLES),
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


EVENT_FINDING_KINDS = frozenset({FindingKind.NODE_ADDRESS, FindingKind.ARGUMENTS_SPLIT})
"""Kinds that no FindingRule detects, because they depend on other fields of the event."""


def add_event_findings(
    invocation: SshInvocation, *, host_addresses: Collection[str], arguments_were_split: bool
) -> SshInvocation:
    """Return `invocation` with the findings that depend on other fields of the event.

    `host_addresses` are the addresses of the host of the container (ECS `host.ip`).
    """
    findings = list(invocation.findings)
    jump_hosts = (jump.host for jump in invocation.jump_hosts)
    hosts = (invocation.destination, *jump_hosts, *invocation.more_targets)
    reasons = (describe_node_address(host, host_addresses) for host in hosts if host)
    if reason := next(filter(None, reasons), None):
        findings.insert(
            0,
            Finding(
                FindingKind.NODE_ADDRESS,
                f"{reason}: a login there leaves the container.",
                invocation.destination_indexes,
                _NODE_ADDRESS_RISK,
            ),
        )
    if arguments_were_split:
        findings.append(
            Finding(
                FindingKind.ARGUMENTS_SPLIT,
                "The agent sent the arguments as one text. Deckwatch split it at spaces and quotes, so an"
                " argument that contains a space may appear as several.",
                (),
                0,
            )
        )
    if len(findings) == len(invocation.findings):
        return invocation
    return replace(invocation, findings=tuple(findings))
