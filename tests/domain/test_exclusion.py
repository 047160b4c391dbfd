"""Exclusions: which events a condition covers, and which conditions are invalid or too broad."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidInput
from app.domain.event import event_from_ecs
from app.domain.exclusion import (
    FIELDS,
    Condition,
    Exclusion,
    Operator,
    validate_conditions,
    validate_end,
)
from tests.factories import exec_event

NOW = datetime(2026, 11, 24, tzinfo=UTC)
EVENT = exec_event() | {
    "container": {
        "id": "0123456789abcdef",
        "name": "web-5c6b",
        "image": {"name": "shop/web", "tag": ["9.1", "latest"]},
        "labels": {"team": "payments", "app.kubernetes.io/name": "web"},
    }
}

CONDITION_CASES = [
    ("container.id", "is", ["0123456789abcdef"], True),
    ("container.id", "is", ["0123456789ab"], False),
    ("container.name", "matches", ["web-*"], True),
    ("container.name", "matches", ["web-????"], True),
    ("container.name", "matches", ["web-???"], False),
    ("container.name", "matches", ["WEB-*"], False),
    ("container.name", "does not match", ["db-*"], True),
    ("container.image.name", "is", ["shop/web"], True),
    ("container.image.name", "is", ["shop/web:9.1"], True),
    ("container.image.name", "matches", ["shop/*", "ops/*"], True),
    ("container.image.name", "is", ["shop/webx"], False),
    ("container.labels.team", "is", ["payments"], True),
    ("container.labels.app.kubernetes.io/name", "is", ["web"], True),
    ("container.labels.other", "exists", [], False),
    ("container.labels.other", "does not exist", [], True),
    ("orchestrator.namespace", "is one of", ["dev", "prod"], True),
    ("orchestrator.namespace", "is not one of", ["dev", "test"], True),
    ("orchestrator.resource.name", "exists", [], True),
    ("host.name", "is", ["node-11"], True),
    ("host.name", "is not", ["node-11"], False),
    ("user.name", "is", ["nginx"], True),
    ("user.id", "is", ["101"], True),
    ("process.name", "is", ["ssh"], True),
    ("process.name", "is", ["SSH"], False),
    ("process.executable", "matches", ["/usr/*/ssh"], True),
    ("process.args", "is", ["uptime"], True),
    ("process.args", "is", ["upt"], False),
    ("process.args", "is not", ["uptime"], False),
    ("process.parent.name", "is", ["bash"], True),
    ("process.parent.pid", "is", ["41"], True),
    ("ssh.destination", "is", ["10.42.3.17"], True),
    ("ssh.role", "is", ["client"], True),
    ("ssh.role", "is one of", ["daemon", "no-op"], False),
    ("container.image.hash.all", "exists", [], False),
    ("container.image.hash.all", "is not", ["sha256:x"], True),
]


@pytest.mark.parametrize(("field", "operator", "values", "holds"), CONDITION_CASES)
def test_each_operator_compares_as_its_name_says(
    field: str, operator: str, values: list[str], holds: bool
) -> None:
    event = event_from_ecs(EVENT)
    assert Condition(field, Operator(operator), tuple(values)).holds(event) is holds


OPPOSITES = {
    Operator.IS: Operator.IS_NOT,
    Operator.IS_ONE_OF: Operator.IS_NOT_ONE_OF,
    Operator.MATCHES: Operator.DOES_NOT_MATCH,
    Operator.EXISTS: Operator.DOES_NOT_EXIST,
}


@given(
    st.sampled_from([*FIELDS, "container.labels.team", "container.labels.none"]),
    st.sampled_from(list(OPPOSITES)),
    st.lists(st.sampled_from(["ssh", "web*", "*", "prod", "nginx", "payments"]), min_size=1),
)
def test_a_negation_is_the_exact_opposite(
    field: str, operator: Operator, values: list[str]
) -> None:
    event = event_from_ecs(EVENT)
    positive = Condition(field, operator, tuple(values)).holds(event)
    assert Condition(field, OPPOSITES[operator], tuple(values)).holds(event) is not positive


def test_a_condition_on_an_unknown_field_never_holds() -> None:
    event = event_from_ecs(EVENT)
    assert not Condition("container.nmae", Operator.IS_NOT, ("x",)).holds(event)


def make_exclusion(**overrides: Any) -> Exclusion:
    fields: dict[str, Any] = {
        "id": 1,
        "version": 1,
        "rule_id": "r",
        "conditions": (Condition("host.name", Operator.IS, ("node-11",)),),
        "ends_at": NOW,
    }
    return Exclusion(**fields | overrides)


@pytest.mark.parametrize(
    ("at", "covered"),
    [(NOW - timedelta(microseconds=1), True), (NOW, False), (NOW + timedelta(days=1), False)],
)
def test_an_exclusion_covers_events_until_its_end(at: datetime, covered: bool) -> None:
    assert make_exclusion().covers(event_from_ecs(EVENT), rule_id="r", at=at) is covered


def test_an_exclusion_needs_all_its_conditions_and_its_own_rule() -> None:
    event = event_from_ecs(EVENT)
    before = NOW - timedelta(days=1)
    conditions = (
        Condition("host.name", Operator.IS, ("node-11",)),
        Condition("user.name", Operator.IS, ("root",)),
    )
    assert not make_exclusion(conditions=conditions).covers(event, rule_id="r", at=before)
    assert not make_exclusion().covers(event, rule_id="other", at=before)
    assert not make_exclusion(conditions=()).covers(event, rule_id="r", at=before)


INVALID_CONDITIONS = [
    ([], "conditions", "Add at least one"),
    ([("usr.name", "is", ["x"])], "conditions.0", "Unknown field"),
    ([("container.labels.", "is", ["x"])], "conditions.0", "Unknown field"),
    ([("user.name", "=", ["x"])], "conditions.0", "Unknown operator"),
    ([("user.name", "is", [])], "conditions.0", "needs a value"),
    ([("user.name", "is", ["a", "b"])], "conditions.0", "one value"),
    ([("user.name", "exists", ["a"])], "conditions.0", "no value"),
    ([("user.name", "is", ["x" * 1001])], "conditions.0", "at most 1000"),
    ([("user.name", "is one of", [str(n) for n in range(101)])], "conditions.0", "at most 100"),
    ([("user.name", "is", ["a"])] * 21, "conditions", "at most 20"),
    ([("process.name", "is", ["ssh"])], "conditions", "too broad"),
    ([("process.args", "is", ["deploy@git"])], "conditions", "too broad"),
    (
        [("ssh.destination", "is", ["git"]), ("ssh.role", "is", ["client"])],
        "conditions",
        "too broad",
    ),
    ([("container.name", "matches", ["*"])], "conditions", "too broad"),
    ([("container.name", "matches", ["a*?b"])], "conditions", "too broad"),
    ([("container.name", "matches", ["web*", "*"])], "conditions", "too broad"),
    ([("container.name", "exists", [])], "conditions", "too broad"),
    ([("user.name", "is not", ["root"])], "conditions", "too broad"),
    ([("process.pid", "is", ["12"])], "conditions", "too broad"),
]


@pytest.mark.parametrize(("conditions", "key", "words"), INVALID_CONDITIONS)
def test_invalid_or_too_broad_conditions_are_refused(
    conditions: list[tuple[str, str, list[str]]], key: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_conditions(conditions)
    assert words in caught.value.fields[key]


VALID_CONDITIONS = [
    [("container.image.name", "is", ["shop/web"])],
    [("container.name", "matches", ["web*"])],
    [("host.name", "is one of", ["a", "b"]), ("process.args", "does not match", ["*-R*"])],
    [("container.labels.team", "is", ["x"])],
    [("user.name", "is", ["root"]), ("process.pid", "is", ["12"])],
]


@pytest.mark.parametrize("conditions", VALID_CONDITIONS)
def test_conditions_that_limit_the_scope_are_allowed(
    conditions: list[tuple[str, str, list[str]]],
) -> None:
    assert len(validate_conditions(conditions)) == len(conditions)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (None, "Enter an end date"),
        (NOW, "in the future"),
        (NOW - timedelta(days=1), "in the future"),
        (NOW + timedelta(days=92), "at most 90 days"),
    ],
)
def test_an_end_must_be_in_the_future_and_within_the_maximum_duration(
    end: datetime | None, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_end(end, now=NOW)
    assert words in caught.value.fields["ends_at"]


def test_an_end_in_ninety_days_is_allowed() -> None:
    assert validate_end(NOW + timedelta(days=90), now=NOW) == NOW + timedelta(days=90)
