"""What every page carries around its own matter: who is here, where they are, what just happened."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NavItem:
    """`badge` is a count to show beside the label, or None; `alarming` colours it."""

    label: str
    href: str
    icon: str
    current: bool
    badge: int | None = None
    alarming: bool = False
    badge_label: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence about what just happened. With `undo_action` a form posts `undo_fields` there."""

    kind: str  # "done", "warning" or "problem"
    text: str
    undo_action: str | None = None
    undo_fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shell:
    """`csrf` goes into every form; `live` pages listen for changes; `theme` is auto, light or dark."""

    title: str
    user: str
    role: str
    csrf: str
    theme: str
    path: str
    nav: tuple[NavItem, ...] = ()
    notice: Notice | None = None
    live: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select, or one link of a menu when `href` is set."""

    value: str
    label: str
    selected: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    label: str
    href: str
    current: bool
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
