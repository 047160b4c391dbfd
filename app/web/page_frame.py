"""What every page carries around its own matter: who is here, where they are, what just happened."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NavItem:
    """`badge` is a count to show beside the label, or None; `alarming` colours it."""

    label: str
    href: str
    icon: str
    is_current: bool
    badge: int | None = None
    is_urgent: bool = False
    badge_label: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about what just happened. With `undo_action` a form posts `undo_fields` there."""

    kind: str  # "done", "warning" or "problem"
    text: str
    undo_action: str | None = None
    undo_fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PageFrame:
    """`csrf` goes into every form; `live` pages listen for changes; `theme` is auto, light or dark."""

    title: str
    user_name: str
    role: str
    csrf_token: str
    theme: str
    current_url: str
    nav_items: tuple[NavItem, ...] = ()
    notice: Notice | None = None
    is_live: bool = False


@dataclass(frozen=True, slots=True)
class SelectOption:
    """One choice of a select, or one link of a menu when `href` is set."""

    value: str
    label: str
    selected: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    label: str
    href: str
    is_current: bool
    count: int | None = None
    capped: bool = False  # the count stopped at its limit: show "1,000+"


@dataclass(frozen=True, slots=True)
class Chip:
    """A short label. `tone` is alarming, notable, calm or plain; `title` says more on hover."""

    label: str
    tone: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class ConnectStep:
    """A sentence, and perhaps something to copy. `html` is safe."""

    html: str
    code: str | None
