"""The three parts of a guide as pages name them."""

from app.domain.guide import PartName

PART_LABELS = {
    PartName.TRIAGE: "Triage",
    PartName.FALSE_POSITIVES: "False positive?",
    PartName.RESPONSE: "Response",
}


def part_named(text: str) -> PartName:
    """The part a URL asks for; triage when it asks for none or for an unknown one."""
    return next((part for part in PartName if part == text), PartName.TRIAGE)


def title_of(markdown: str) -> str:
    """The first words of a step, for the activity log: its bold lead when it has one."""
    text = markdown.strip().partition("\n")[0]
    if text.startswith("**") and "**" in text[2:]:
        return text[2:].partition("**")[0].strip(" .:")
    return text if len(text) <= 80 else text[:79] + "…"
