"""Contexts of small interface components that several pages use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SelectOption:
    """An option of a select element, or a link of a menu if `href` is set."""

    value: str
    label: str
    selected: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab with an optional count.

    If `capped` is true, the real number is higher than `count`. The page then shows the count with a plus
    sign, such as "10,000+".
    """

    label: str
    href: str
    is_current: bool
    count: int | None = None
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """A short label. `tone` is "danger", "warning", "success" or "plain"; `title` is the tooltip."""

    label: str
    tone: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class ConnectStep:
    """A step of setup instructions. `html` is safe HTML, and `code` is a snippet for the user to copy."""

    html: str
    code: str | None
