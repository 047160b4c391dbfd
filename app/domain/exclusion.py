"""What an exclusion says, whether it covers an event, and what makes one too broad to be allowed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from re import Pattern
from typing import NamedTuple

from app.domain.errors import Invalid
from app.domain.event import Event
from app.domain.text import visible
from app.domain.wildcard import compile_wildcard

LONGEST = timedelta(days=90)
VALUE_LIMIT = 1_000
VALUES_LIMIT = 100
CONDITIONS_LIMIT = 20
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


class OperatorKind(NamedTuple):
    """`test` says whether one value fits; `negated` turns the whole condition round."""

    test: Callable[[str, tuple[str, ...]], bool]
    negated: bool
    takes: str  # "nothing", "one" or "many"


@lru_cache(maxsize=4096)
def _wildcard(pattern: str) -> Pattern[str]:
    return compile_wildcard(pattern, ignore_case=False)


def _among(value: str, wanted: tuple[str, ...]) -> bool:
    return value in wanted


def _fits(value: str, wanted: tuple[str, ...]) -> bool:
    return any(_wildcard(pattern).match(value) for pattern in wanted)


def _any(value: str, wanted: tuple[str, ...]) -> bool:  # noqa: ARG001 (all tests share one shape)
    return True


OPERATORS: dict[Operator, OperatorKind] = {
    Operator.IS: OperatorKind(_among, False, "one"),
    Operator.IS_NOT: OperatorKind(_among, True, "one"),
    Operator.IS_ONE_OF: OperatorKind(_among, False, "many"),
    Operator.IS_NOT_ONE_OF: OperatorKind(_among, True, "many"),
    Operator.MATCHES: OperatorKind(_fits, False, "many"),
    Operator.DOES_NOT_MATCH: OperatorKind(_fits, True, "many"),
    Operator.EXISTS: OperatorKind(_any, False, "nothing"),
    Operator.DOES_NOT_EXIST: OperatorKind(_any, True, "nothing"),
}


class Field(NamedTuple):
    """A field that conditions may read. `anchors`: says where or as whom it ran, so that a condition
    on it confines an exclusion; arguments and names are the attacker's to choose and do not.
    """

    label: str
    read: Callable[[Event], Sequence[str | None]]
    anchors: bool
    caution: str | None = None


_DIES = "It dies at the next deploy; the image, the namespace or a label lives on."

FIELDS: dict[str, Field] = {
    "container.id": Field("Container id", lambda e: (e.container_id,), True, _DIES),
    "container.name": Field("Container name", lambda e: (e.container_name,), True),
    "container.image.name": Field("Image", lambda e: (e.image_name, e.image), True),
    "container.image.hash.all": Field("Image digest", lambda e: e.image_digests, True),
    "orchestrator.namespace": Field("Namespace", lambda e: (e.namespace,), True),
    "orchestrator.resource.name": Field("Pod", lambda e: (e.pod,), True, _DIES),
    "host.name": Field("Host", lambda e: (e.host_name,), True),
    "user.name": Field("User", lambda e: (e.user_name,), True),
    "user.id": Field("User id", lambda e: (e.user_id,), True),
    "process.name": Field("Process name", lambda e: (e.process.name,), False),
    "process.pid": Field(
        "Process id",
        lambda e: (_number(e.process.pid),),
        False,
        "The system gives it to another process later; add the host and what started it.",
    ),
    "process.executable": Field("Executable", lambda e: (e.process.executable,), False),
    "process.args": Field("Argument", lambda e: e.process.args, False),
    "process.parent.name": Field(
        "Parent name", lambda e: (e.parent.name if e.parent else None,), False
    ),
    "process.parent.executable": Field(
        "Parent executable", lambda e: (e.parent.executable if e.parent else None,), False
    ),
    "process.parent.pid": Field(
        "Parent process id", lambda e: (_number(e.parent.pid) if e.parent else None,), False
    ),
    "ssh.destination": Field(
        "SSH destination", lambda e: (e.ssh.destination if e.ssh else None,), False
    ),
    "ssh.role": Field("SSH role", lambda e: (str(e.ssh.role) if e.ssh else None,), False),
}
LABEL_PREFIX = "container.labels."


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def field_named(name: str) -> Field | None:
    """The entry for `name`; any `container.labels.KEY` is one."""
    if name.startswith(LABEL_PREFIX) and len(name) > len(LABEL_PREFIX):
        key = name[len(LABEL_PREFIX) :]
        return Field(f"Label {visible(key)}", lambda e: (e.labels.get(key),), True)
    return FIELDS.get(name)


@dataclass(frozen=True, slots=True)
class Condition:
    """`values` is empty for exists, one for is, one or more otherwise."""

    field: str
    operator: Operator
    values: tuple[str, ...] = ()

    def holds(self, event: Event) -> bool:
        """A negation is the exact opposite, so it also holds where the event lacks the field."""
        if field_named(self.field) is None:
            return False  # an exclusion must never hide more because it says something unknown
        kind = OPERATORS[self.operator]
        return any(kind.test(value, self.values) for value in self.found(event)) is not kind.negated

    def found(self, event: Event) -> tuple[str, ...]:
        """What the event has in the field; nothing for a field that is not known."""
        known = field_named(self.field)
        return tuple(value for value in known.read(event) if value is not None) if known else ()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A live version, as matching reads it. `rule_id` bounds it to one rule."""

    id: int
    version: int
    rule_id: str
    conditions: tuple[Condition, ...]
    ends_at: datetime

    def covers(self, event: Event, *, rule_id: str, at: datetime) -> bool:
        """Whether a match of `rule_id` received `at` (server's clock, aware) is excluded."""
        return (
            rule_id == self.rule_id
            and at < self.ends_at
            and bool(self.conditions)
            and all(condition.holds(event) for condition in self.conditions)
        )


def checked_conditions(
    conditions: Sequence[tuple[str, str, Sequence[str]]],
) -> tuple[Condition, ...]:
    """Typed conditions from (field, operator, values) as somebody wrote them.

    Raises Invalid with keys `conditions` and `conditions.N` (N from 0): an unknown field or operator
    is refused, never ignored, and so is a set that constrains nothing specific.
    """
    problems: dict[str, str] = {}
    checked: list[Condition] = []
    if not conditions:
        problems["conditions"] = "Add at least one condition."
    if len(conditions) > CONDITIONS_LIMIT:
        problems["conditions"] = f"At most {CONDITIONS_LIMIT} conditions."
    for index, (field, operator, values) in enumerate(conditions[:CONDITIONS_LIMIT]):
        problem, condition = _checked(field, operator, values)
        if problem:
            problems[f"conditions.{index}"] = problem
        elif condition:
            checked.append(condition)
    if not problems and (problem := too_broad(checked)):
        problems["conditions"] = problem
    if problems:
        raise Invalid(problems)
    return tuple(checked)


def _checked(
    field: str, operator: str, values: Sequence[str]
) -> tuple[str | None, Condition | None]:
    if field_named(field) is None:
        return f"“{field}” is not a field that exclusions can read.", None
    known = next((o for o in Operator if o == operator), None)
    if known is None:
        return f"“{operator}” is not an operator; use one of: " + ", ".join(Operator) + ".", None
    takes = OPERATORS[known].takes
    kept = tuple(dict.fromkeys(value for value in values if value))
    if takes == "nothing":
        return (f"“{known}” takes no value.", None) if kept else (None, Condition(field, known))
    if not kept:
        return f"“{known}” needs a value.", None
    if takes == "one" and len(kept) > 1:
        return f"“{known}” takes one value; for several use “is one of”.", None
    if len(kept) > VALUES_LIMIT:
        return f"At most {VALUES_LIMIT} values; this has {len(kept)}.", None
    if any(len(value) > VALUE_LIMIT for value in kept):
        return f"A value may have at most {VALUE_LIMIT} characters.", None
    if not all(map(fits_condition, kept)):
        return "A value has no line breaks or spaces around it; “matches” takes a ? for each.", None
    return None, Condition(field, known, kept)


def fits_condition(value: str) -> bool:
    """Whether a condition can hold `value`.

    A form has one value a line: saved again there, others would become other values, unseen.
    """
    return (
        0 < len(value) <= VALUE_LIMIT
        and value == value.strip(" \t")
        and not _LINE_BREAK.search(value)
    )


_POSITIVE = frozenset({Operator.IS, Operator.IS_ONE_OF, Operator.MATCHES})


def too_broad(conditions: Sequence[Condition]) -> str | None:
    """Why these conditions would hide too much, or None.

    At least one must pin where or as whom it ran. Wildcards pin only when three literal characters
    are left in every pattern: `*` and `a*` do not.
    """
    if any(_pins(condition) for condition in conditions):
        return None
    anchors = ", ".join(field.label.lower() for field in FIELDS.values() if field.anchors)
    return (
        "This constrains nothing specific: process names and arguments are an attacker's to choose. "
        f"Add what it ran in or as whom ({anchors} or a label), with “is”, “is one of”, or "
        "“matches” with at least three characters besides the wildcards."
    )


def _pins(condition: Condition) -> bool:
    known = field_named(condition.field)
    if known is None or not known.anchors or condition.operator not in _POSITIVE:
        return False
    if condition.operator is not Operator.MATCHES:
        return True
    return all(len(value.replace("*", "").replace("?", "")) >= 3 for value in condition.values)


def checked_end(
    ends_at: datetime | None, *, now: datetime, longest: timedelta = LONGEST
) -> datetime:
    """An end that lies ahead and within `longest`; raises Invalid with key `ends_at`."""
    if ends_at is None:
        raise Invalid({"ends_at": "Say when it ends."})
    if ends_at <= now:
        raise Invalid({"ends_at": "The end must lie ahead."})
    if ends_at > now + longest + timedelta(days=1):
        raise Invalid({"ends_at": f"At most {longest.days} days ahead."})
    return ends_at
