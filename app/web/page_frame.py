"""Context of the frame around every page: navigation, signed-in user and notice."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NavItem:
    """A link of the navigation. `badge` is a count beside the label; `is_urgent` colours the count."""

    label: str
    href: str
    icon: str
    is_current: bool
    badge: int | None = None
    is_urgent: bool = False
    badge_label: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message about the last action of the user.

    If `undo_action` is set, the message contains a button that posts `undo_fields` to the path `undo_action`.
    """

    kind: str  # "done", "warning" or "problem"
    text: str
    undo_action: str | None = None
    undo_fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PageFrame:
    """The frame of a page. Every form on the page posts `csrf_token`.

    `theme` is "auto", "light" or "dark". If `is_live` is true, the page reloads its content when alerts
    change.
    """

    title: str
    user_name: str
    role: str
    csrf_token: str
    theme: str
    current_url: str
    nav_items: tuple[NavItem, ...] = ()
    notice: Notice | None = None
    is_live: bool = False
