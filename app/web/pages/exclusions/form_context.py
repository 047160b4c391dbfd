"""What the form of an exclusion shows: its shape, filled by exclusion_form, drawn by its template."""

from dataclasses import dataclass
from datetime import datetime

from app.web.components import SelectOption


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """Inputs field-N, operator-N and values-N (one value a line). The button `remove` has value N.

    `obscured_values` are the values of which a text box does not show all.
    """

    number: int
    fields: tuple[SelectOption, ...]
    operators: tuple[SelectOption, ...]
    values: str
    error: str | None
    caution: str | None
    obscured_values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A value of the alert not yet in a condition: the button `add` has `value` and adds it."""

    field: str
    label: str
    display_value: str
    value: str
    caution: str | None


@dataclass(frozen=True, slots=True)
class ExclusionFormPage:
    """Block `form`. It posts to `action` with csrf, `alert_id`, `base_version`, rule, reason, owner, ends_at
    (a date), the condition rows and `close_alert` (yes). Buttons: submit (save), add (a suggestion's
    value, or "blank"), remove (a row's number); add and remove save nothing and come back with the form.
    """

    heading: str
    action: str
    cancel_href: str
    submit_label: str
    approval_note: str
    alert_id: int | None
    alert_href: str | None
    base_version: int | None
    rule_options: tuple[SelectOption, ...]
    rule_locked: bool
    rows: tuple[ConditionRow, ...]
    suggestions: tuple[Suggestion, ...]
    conditions_error: str | None
    reason: str
    reason_error: str | None
    owner: str
    owner_error: str | None
    ends_at: str
    ends_at_error: str | None
    ends_at_max: str
    ends_at_min: str
    rule_error: str | None
    can_close_alert: bool
    close_alert: bool
    covers_alert: bool | None  # whether it would cover the alert it was made from; None without one
    conflict: str | None
    changed_fields: tuple[tuple[str, str], ...]  # (what, now) since the person opened the form
    now: datetime
