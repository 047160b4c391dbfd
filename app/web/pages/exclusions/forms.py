"""Input of the exclusion form, parsed but not validated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from app.actions.exclusion_draft import ExclusionDraft
from app.domain.exclusion import Operator
from app.domain.text import escape_unstorable
from app.store.tables import Alert
from app.web.forms import Form


@dataclass(frozen=True, slots=True)
class ConditionInput:
    """One condition as the user typed it."""

    field: str
    operator: str
    values: str

    def as_draft(self) -> tuple[str, str, Sequence[str]]:
        """Return (field, operator, values). Each line is one value; spaces and tabs around it are removed.

        Only CR and LF separate lines, because a value can contain other separators such as U+2028.
        """
        lines = self.values.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return self.field, self.operator, [line.strip(" \t") for line in lines]


BLANK_CONDITION = ConditionInput("container.image.name", str(Operator.IS), "")


@dataclass(frozen=True, slots=True)
class FormInput:
    """All fields of the form as the user typed them."""

    rows: tuple[ConditionInput, ...]
    rule_id: str
    reason: str
    owner: str
    ends_at: str
    close_alert: bool

    def as_draft(self, alert: Alert | None) -> ExclusionDraft:
        return ExclusionDraft(
            rule_id=self.rule_id,
            conditions=[row.as_draft() for row in self.rows],
            reason=self.reason,
            owner=self.owner,
            ends_at=parse_last_day(self.ends_at),
            from_alert_id=alert.id if alert else None,
        )


def parse_last_day(text: str) -> datetime | None:
    """Return the end of the day `text` in UTC. `text` is an ISO 8601 date, such as "2027-02-21".

    The end of a day is the start of the next day, such as 2027-02-22T00:00:00Z. Return None if `text` is not
    a valid date.
    """
    try:
        day = date.fromisoformat(text)
        return datetime.combine(day, time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None


def format_last_day(end: datetime) -> str:
    """Return the last day before `end` as an ISO 8601 date. This is the inverse of `parse_last_day`."""
    return (end - timedelta(microseconds=1)).date().isoformat()


def read_form(form: Form) -> FormInput:
    """Read the form, and add or remove a condition if the user pressed `add` or `remove`.

    Raises InvalidInput for an unknown field.
    """
    form.allow_fields(
        *("alert", "base_version", "rule", "reason", "owner", "ends_at", "close_alert"),
        *("submit", "add", "remove"),
        prefixes=("field-", "operator-", "values-"),
    )
    numbers = [name.removeprefix("field-") for name, _ in form.pairs if name.startswith("field-")]
    rows = [
        ConditionInput(form[f"field-{n}"], form[f"operator-{n}"], form[f"values-{n}"])
        for n in numbers
        if n != form["remove"]
    ]
    if form["add"]:
        rows.append(_condition_to_add(form["add"]))
    return FormInput(
        rows=tuple(rows),
        rule_id=form["rule"],
        reason=form["reason"],
        owner=form["owner"],
        ends_at=form["ends_at"],
        close_alert=form["close_alert"] == "yes",
    )


def _condition_to_add(text: str) -> ConditionInput:
    """Return the condition that a button `add` adds. `text` is the value that the button posts.

    The button of a suggestion posts a JSON array, such as `["user.name", "root"]`. For a text that is not
    such an array, such as "blank", the function returns a blank condition.
    """
    try:
        field, value = json.loads(text)
        return ConditionInput(
            escape_unstorable(str(field)), str(Operator.IS), escape_unstorable(str(value))
        )
    except (ValueError, TypeError, RecursionError):
        return BLANK_CONDITION
