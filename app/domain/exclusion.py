"""Exclusions, which suppress matches of a rule: fields, operators, conditions and their validation.

The module is long because of the tables of fields and operators.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from re import Pattern
from typing import NamedTuple

from app.domain.errors import InvalidInput
from app.domain.event import Event
from app.domain.text import escape_invisible
from app.domain.wildcard import compile_wildcard

MAX_DURATION = timedelta(days=90)
MAX_VALUE_LENGTH = 1_000
MAX_VALUES = 100
MAX_CONDITIONS = 20
_LINE_BREAK = re.compile(r"[\r\n]")


class Operator(StrEnum):
    IS = "is"
    IS_NOT = "is not"
    IS_ONE_OF = "is one of"
    IS_NOT_ONE_OF = "is not one of"
    MATCHES = "matches"
    DOES_NOT_MATCH = "does not match"
    EXISTS = "exists"
    DOES_NOT_EXIST = "does not exist"


class OperatorSpec(NamedTuple):
    """Definition of an operator.

    `accepts` tests one value of the event against the values of the condition. `negated` inverts the result
    of the whole condition. `arity` is the number of values that the condition needs.
    """

    accepts: Callable[[str, tuple[str, ...]], bool]
    negated: bool
    arity: str  # "nothing", "one" or "many"


@lru_cache(maxsize=4096)
def _compile_cached(pattern: str) -> Pattern[str]:
    return compile_wildcard(pattern, ignore_case=False)


def _is_listed(value: str, operands: tuple[str, ...]) -> bool:
    return value in operands


def _matches_any_pattern(value: str, operands: tuple[str, ...]) -> bool:
    return any(_compile_cached(pattern).match(value) for pattern in operands)


def _accept_any(value: str, operands: tuple[str, ...]) -> bool:  # noqa: ARG001 (all operators share one signature)
    return True


OPERATORS: dict[Operator, OperatorSpec] = {
    Operator.IS: OperatorSpec(_is_listed, False, "one"),
    Operator.IS_NOT: OperatorSpec(_is_listed, True, "one"),
    Operator.IS_ONE_OF: OperatorSpec(_is_listed, False, "many"),
    Operator.IS_NOT_ONE_OF: OperatorSpec(_is_listed, True, "many"),
    Operator.MATCHES: OperatorSpec(_matches_any_pattern, False, "many"),
    Operator.DOES_NOT_MATCH: OperatorSpec(_matches_any_pattern, True, "many"),
    Operator.EXISTS: OperatorSpec(_accept_any, False, "nothing"),
    Operator.DOES_NOT_EXIST: OperatorSpec(_accept_any, True, "nothing"),
}


class ExclusionField(NamedTuple):
    """A field that conditions may use.

    `limits_scope` is true if the field says where the process ran, such as the image or the host. It is also
    true for the fields that name the user of the process. Process names and arguments do not limit the scope
    of an exclusion, because the attacker chooses them.
    """

    label: str
    extract: Callable[[Event], Sequence[str | None]]
    limits_scope: bool
    warning: str | None = None


_SHORT_LIVED = (
    "This value changes with the next deployment. Use the image, the namespace or a label instead."
)

FIELDS: dict[str, ExclusionField] = {
    "container.id": ExclusionField("Container ID", lambda e: (e.container_id,), True, _SHORT_LIVED),
    "container.name": ExclusionField("Container name", lambda e: (e.container_name,), True),
    "container.image.name": ExclusionField("Image", lambda e: (e.image_name, e.image), True),
    "container.image.hash.all": ExclusionField("Image digest", lambda e: e.image_digests, True),
    "orchestrator.namespace": ExclusionField("Namespace", lambda e: (e.namespace,), True),
    "orchestrator.resource.name": ExclusionField("Pod", lambda e: (e.pod,), True, _SHORT_LIVED),
    "host.name": ExclusionField("Host", lambda e: (e.host_name,), True),
    "user.name": ExclusionField("User", lambda e: (e.user_name,), True),
    "user.id": ExclusionField("User ID", lambda e: (e.user_id,), True),
    "process.name": ExclusionField("Process name", lambda e: (e.process.name,), False),
    "process.pid": ExclusionField(
        "Process ID",
        lambda e: (_number_text(e.process.pid),),
        False,
        "Process IDs are reused, so also add conditions for the host and the parent process.",
    ),
    "process.executable": ExclusionField("Executable", lambda e: (e.process.executable,), False),
    "process.args": ExclusionField("Argument", lambda e: e.process.args, False),
    "process.parent.name": ExclusionField(
        "Parent name", lambda e: (e.parent.name if e.parent else None,), False
    ),
    "process.parent.executable": ExclusionField(
        "Parent executable", lambda e: (e.parent.executable if e.parent else None,), False
    ),
    "process.parent.pid": ExclusionField(
        "Parent process ID", lambda e: (_number_text(e.parent.pid) if e.parent else None,), False
    ),
    "ssh.destination": ExclusionField(
        "SSH destination", lambda e: (e.ssh.destination if e.ssh else None,), False
    ),
    "ssh.role": ExclusionField("SSH role", lambda e: (str(e.ssh.role) if e.ssh else None,), False),
}
LABEL_PREFIX = "container.labels."


def _number_text(value: int | None) -> str | None:
    return None if value is None else str(value)


def find_field(name: str) -> ExclusionField | None:
    """Return the definition of the field `name`, or None if the field is unknown.

    `name` is a key of FIELDS or the name of a label, such as `container.labels.app`.
    """
    if name.startswith(LABEL_PREFIX) and len(name) > len(LABEL_PREFIX):
        key = name[len(LABEL_PREFIX) :]
        return ExclusionField(
            f"Label {escape_invisible(key)}", lambda e: (e.labels.get(key),), True
        )
    return FIELDS.get(name)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of an exclusion.

    `values` is empty for "exists" and "does not exist", has one value for "is" and "is not", and has one or
    more values for the other operators.
    """

    field: str
    operator: Operator
    values: tuple[str, ...] = ()

    def holds(self, event: Event) -> bool:
        """Return whether the condition is true for `event`.

        "is not" gives the opposite result of "is". If the event does not have the field, "is" is false and
        "is not" is true. "is not one of", "does not match" and "does not exist" are negated in the same way.
        """
        if find_field(self.field) is None:
            # Without this check, "is not" would be true for an unknown field. The exclusion would then cover
            # too many events.
            return False
        kind = OPERATORS[self.operator]
        return (
            any(kind.accepts(value, self.values) for value in self.values_in(event))
            is not kind.negated
        )

    def values_in(self, event: Event) -> tuple[str, ...]:
        """Return the event's values of the condition's field, or an empty tuple if the field is unknown."""
        known = find_field(self.field)
        return tuple(value for value in known.extract(event) if value is not None) if known else ()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """The last approved version of an exclusion. The exclusion covers only matches of the rule `rule_id`."""

    id: int
    version: int
    rule_id: str
    conditions: tuple[Condition, ...]
    ends_at: datetime

    def covers(self, event: Event, *, rule_id: str, at: datetime) -> bool:
        """Return whether the exclusion covers a match of the rule `rule_id` that was received at `at`.

        `at` is an aware datetime of the server's clock, not of the agent's clock.
        """
        return (
            rule_id == self.rule_id
            and at < self.ends_at
            and bool(self.conditions)
            and all(condition.holds(event) for condition in self.conditions)
        )


def validate_conditions(
    conditions: Sequence[tuple[str, str, Sequence[str]]],
) -> tuple[Condition, ...]:
    """Check the conditions that a user entered, and return them as Condition objects.

    Each element of `conditions` is a tuple (field, operator, values). If there are errors, the function
    raises InvalidInput with these keys:

    - `conditions.N`: the condition with the index N is invalid. For example, its field is unknown.
    - `conditions`: the number of conditions is invalid, or the conditions are too broad (see
      `breadth_error`).
    """
    problems: dict[str, str] = {}
    validated: list[Condition] = []
    if not conditions:
        problems["conditions"] = "Add at least one condition."
    if len(conditions) > MAX_CONDITIONS:
        problems["conditions"] = f"Use at most {MAX_CONDITIONS} conditions."
    for index, (field, operator, values) in enumerate(conditions[:MAX_CONDITIONS]):
        problem, condition = _validate_condition(field, operator, values)
        if problem:
            problems[f"conditions.{index}"] = problem
        elif condition:
            validated.append(condition)
    if not problems and (problem := breadth_error(validated)):
        problems["conditions"] = problem
    if problems:
        raise InvalidInput(problems)
    return tuple(validated)


def _validate_condition(
    field: str, operator: str, values: Sequence[str]
) -> tuple[str | None, Condition | None]:
    if find_field(field) is None:
        return f"Unknown field “{field}”.", None
    known = next((o for o in Operator if o == operator), None)
    if known is None:
        return f"Unknown operator “{operator}”. Use one of: " + ", ".join(Operator) + ".", None
    arity = OPERATORS[known].arity
    kept = tuple(dict.fromkeys(value for value in values if value))
    if arity == "nothing":
        return (f"“{known}” takes no value.", None) if kept else (None, Condition(field, known))
    if not kept:
        return f"“{known}” needs a value.", None
    if arity == "one" and len(kept) > 1:
        return f"“{known}” takes one value. Use “is one of” for several.", None
    if len(kept) > MAX_VALUES:
        return f"Enter at most {MAX_VALUES} values; this condition has {len(kept)}.", None
    if any(len(value) > MAX_VALUE_LENGTH for value in kept):
        return f"A value may have at most {MAX_VALUE_LENGTH} characters.", None
    if not all(map(is_valid_value, kept)):
        return (
            "A value cannot contain line breaks, or spaces at its start or end. "
            "Use “matches”, with ? for each of these characters.",
            None,
        )
    return None, Condition(field, known, kept)


def is_valid_value(value: str) -> bool:
    """Return whether a condition may contain `value`.

    The form shows one value per line and trims each line. If a value had a line break or surrounding spaces,
    saving the form again would change it without notice.
    """
    return (
        0 < len(value) <= MAX_VALUE_LENGTH
        and value == value.strip(" \t")
        and not _LINE_BREAK.search(value)
    )


_POSITIVE_OPERATORS = frozenset({Operator.IS, Operator.IS_ONE_OF, Operator.MATCHES})


def breadth_error(conditions: Sequence[Condition]) -> str | None:
    """Return an error message if these conditions together are too broad, else None.

    At least one condition must have a field with `limits_scope` and a positive operator ("is", "is one of" or
    "matches"). For "matches", each pattern must have at least three characters that are not wildcards: `web*`
    is accepted, `a*` is not.
    """
    if any(_limits_scope(condition) for condition in conditions):
        return None
    labels = [field.label for field in FIELDS.values() if field.limits_scope]
    scope_fields = ", ".join(label[0].lower() + label[1:] for label in labels)
    return (
        "These conditions are too broad: an attacker can choose process names and arguments. "
        "Add a condition that limits where the process ran or which user ran it: "
        f"{scope_fields} or a label. Use “is”, “is one of”, or “matches” with at least three "
        "characters besides the wildcards."
    )


def _limits_scope(condition: Condition) -> bool:
    known = find_field(condition.field)
    if known is None or not known.limits_scope or condition.operator not in _POSITIVE_OPERATORS:
        return False
    if condition.operator is not Operator.MATCHES:
        return True
    return all(len(value.replace("*", "").replace("?", "")) >= 3 for value in condition.values)


def validate_end(
    ends_at: datetime | None, *, now: datetime, max_duration: timedelta = MAX_DURATION
) -> datetime:
    """Return `ends_at` if it is in the future and at most `max_duration` plus one day ahead.

    Otherwise raises InvalidInput with the key `ends_at`.
    """
    if ends_at is None:
        raise InvalidInput({"ends_at": "Enter an end date."})
    if ends_at <= now:
        raise InvalidInput({"ends_at": "The end must be in the future."})
    if ends_at > now + max_duration + timedelta(days=1):
        raise InvalidInput({"ends_at": f"The end may be at most {max_duration.days} days ahead."})
    return ends_at
