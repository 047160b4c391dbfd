"""Investigation guides of rules: labels of the guide parts, their names in URLs, and titles of steps."""

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
    """Return a short title of a guide step, for the activity log of an alert.

    If the step begins with bold text, this text is the title. Otherwise, the title is the first line of the
    step, shortened if it is long.
    """
    first_line = markdown.strip().partition("\n")[0]
    if first_line.startswith("**") and "**" in first_line[2:]:
        return first_line[2:].partition("**")[0].strip(" .:")
    if len(first_line) <= STEP_TITLE_LENGTH_LIMIT:
        return first_line
    return first_line[: STEP_TITLE_LENGTH_LIMIT - 1] + "…"
