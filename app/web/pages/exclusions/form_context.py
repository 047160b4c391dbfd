"""Template context of the exclusion form."""

from dataclasses import dataclass
from datetime import date

from app.store.exclusions import ExclusionHistory
from app.store.tables import Alert
from app.web.components import SelectOption
from app.web.pages.exclusions.forms import FormInput


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """One condition of the form: the inputs `field-N`, `operator-N` and `values-N`.

    N is the index of the condition. `obscured_values` are the values that contain invisible characters. A
    text box does not show invisible characters.
    """

    fields: tuple[SelectOption, ...]
    operators: tuple[SelectOption, ...]
    values: str
    error: str | None
    caution: str | None
    obscured_values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A value of the alert's event that the user can add as a condition.

    The form does not contain a condition on the field of this value yet. The page shows the suggestion as a
    button. The button posts `value` in the form field `add`.
    """

    label: str
    display_value: str
    value: str
    caution: str | None


@dataclass(frozen=True, slots=True)
class ExclusionFormPage:
    """Context of exclusion_form.html; its block is `form`.

    The form has three kinds of buttons. The button `submit` saves the form. A button `add` adds a condition.
    The button posts `Suggestion.value`, or "blank" for an empty condition. A button `remove` removes a
    condition. The button posts the index of this condition. The buttons `add` and `remove` save nothing. The
    response to these buttons is the changed form.
    """

    form: FormInput
    # Error messages by form field. The message for "conditions" is about the list of all conditions.
    errors: dict[str, str]
    alert: Alert | None
    history: ExclusionHistory | None  # None for a new exclusion
    base_version: int | None
    is_admin: bool
    rule_options: tuple[SelectOption, ...]
    is_rule_fixed: bool
    rows: tuple[ConditionRow, ...]
    suggestions: tuple[Suggestion, ...]
    first_day: date
    last_day: date
    can_close_alert: bool
    covers_alert: bool | None  # None if there is no event or a condition is invalid
    conflict: str | None
    changed_fields: tuple[tuple[str, str], ...]  # (label, current value)
