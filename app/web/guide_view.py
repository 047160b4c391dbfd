"""The three parts of a guide as pages name them."""

from app.domain.guide import GuidePartName

PART_LABELS = {
    GuidePartName.TRIAGE: "Triage",
    GuidePartName.FALSE_POSITIVES: "False positive?",
    GuidePartName.RESPONSE: "Response",
}


def parse_guide_part(text: str) -> GuidePartName:
    """The part a URL asks for; triage when it asks for none or for an unknown one."""
    return next((part for part in GuidePartName if part == text), GuidePartName.TRIAGE)


def step_title(markdown: str) -> str:
    """The first words of a step, for the activity log: its bold lead when it has one."""
    text = markdown.strip().partition("\n")[0]
    if text.startswith("**") and "**" in text[2:]:
        return text[2:].partition("**")[0].strip(" .:")
    return text if len(text) <= 80 else text[:79] + "…"
