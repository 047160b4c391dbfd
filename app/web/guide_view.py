"""Labels, URL values and step titles of investigation guides."""

from app.domain.guide import GuidePartName

STEP_TITLE_LENGTH_LIMIT = 80
PART_LABELS = {
    GuidePartName.TRIAGE: "Triage",
    GuidePartName.FALSE_POSITIVES: "False positives",
    GuidePartName.RESPONSE: "Response",
}


def parse_guide_part(text: str) -> GuidePartName:
    """Parse the name of a guide part in a URL; an empty or unknown name means triage."""
    return next((part for part in GuidePartName if part == text), GuidePartName.TRIAGE)


def step_title(markdown: str) -> str:
    """Return a short title of a step for the activity log.

    The title is the bold text at the start of the step or, without bold text, its shortened first line.
    """
    first_line = markdown.strip().partition("\n")[0]
    if first_line.startswith("**") and "**" in first_line[2:]:
        return first_line[2:].partition("**")[0].strip(" .:")
    if len(first_line) <= STEP_TITLE_LENGTH_LIMIT:
        return first_line
    return first_line[: STEP_TITLE_LENGTH_LIMIT - 1] + "…"
