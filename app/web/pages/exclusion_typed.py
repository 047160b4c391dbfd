"""What somebody has typed into the form of an exclusion, read but not judged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from app.actions.exclusions import Draft
from app.domain.exclusion import Operator
from app.domain.text import storable
from app.store.tables import Alert
from app.web.forms import Form


@dataclass(frozen=True, slots=True)
class Row:
    """One condition as typed."""

    field: str
    operator: str
    values: str

    def as_draft(self) -> tuple[str, str, Sequence[str]]:
        """One value a line; spaces around it are a slip of the hand, those inside are meant.

        Only what a browser shows as a new line is one: U+2028 in a value must not make two of it.
        """
        lines = self.values.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return self.field, self.operator, [line.strip(" \t") for line in lines]


@dataclass(frozen=True, slots=True)
class Typed:
    """The whole form as typed."""

    rows: tuple[Row, ...]
    rule_id: str
    reason: str
    owner: str
    ends_at: str
    close_alert: bool

    def draft(self, alert: Alert | None) -> Draft:
        return Draft(
            rule_id=self.rule_id,
            conditions=[row.as_draft() for row in self.rows],
            reason=self.reason,
            owner=self.owner,
            ends_at=end_of_day(self.ends_at),
            from_alert_id=alert.id if alert else None,
        )


def end_of_day(text: str) -> datetime | None:
    """The last moment of a day written 2027-02-22, in UTC; None when that is no day."""
    try:
        day = date.fromisoformat(text)
        return datetime.combine(day, time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None


def day_of(end: datetime) -> str:
    """The day that `end_of_day` would read for this end."""
    return (end - timedelta(microseconds=1)).date().isoformat()


def typed_into(form: Form) -> Typed:
    """Rows keep their order; a button that adds or removes one has done so. Raises Invalid."""
    form.only(
        *("alert", "base_version", "rule", "reason", "owner", "ends_at", "close_alert"),
        *("submit", "add", "remove"),
        starting=("field-", "operator-", "values-"),
    )
    numbers = [name.removeprefix("field-") for name, _ in form.pairs if name.startswith("field-")]
    rows = [
        Row(form[f"field-{n}"], form[f"operator-{n}"], form[f"values-{n}"])
        for n in numbers
        if n != form["remove"]
    ]
    if form["add"]:
        rows.append(_added(form["add"]))
    return Typed(
        rows=tuple(rows),
        rule_id=form["rule"],
        reason=form["reason"],
        owner=form["owner"],
        ends_at=form["ends_at"],
        close_alert=form["close_alert"] == "yes",
    )


def _added(text: str) -> Row:
    """The row that a button adds: an empty one, or a suggestion's field and value."""
    try:
        field, value = json.loads(text)
        return Row(storable(str(field)), str(Operator.IS), storable(str(value)))
    except (ValueError, TypeError, RecursionError):
        return Row("container.image.name", str(Operator.IS), "")
