"""What the page of an error shows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What went wrong in one sentence, and where to go from here."""

    status: int
    heading: str
    text: str
    back_href: str
    back_label: str
    reference: str | None
