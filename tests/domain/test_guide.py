"""Parsing of a rule's Markdown note into a guide: parts, steps and markers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.guide import Guide, GuidePartName, parse_guide

NOTE = """\
Read this first.

## Triage

1. **Look** at it. <!-- evidence: start-event -->
   Twice.
   - a detail

     of several paragraphs
2. Ask. <!--exclude: user.name
   process.name--> <!-- exclude: user.name -->

A remark.

## False positives

* One of them.

## Response

1) Stop it.
10) Tell.
"""


def step_texts(guide: Guide, name: GuidePartName) -> list[str]:
    (part,) = (part for part in guide.parts if part.name == name)
    return [step.markdown for step in part.steps]


def test_a_note_has_an_introduction_and_three_parts_with_steps() -> None:
    guide = parse_guide(NOTE)
    assert guide.introduction == "Read this first."
    assert step_texts(guide, GuidePartName.TRIAGE) == [
        "**Look** at it.\nTwice.\n- a detail\n\n  of several paragraphs",
        "Ask.",
    ]
    assert step_texts(guide, GuidePartName.FALSE_POSITIVES) == ["One of them."]
    assert step_texts(guide, GuidePartName.RESPONSE) == ["Stop it.", "Tell."]
    assert [part.text for part in guide.parts] == ["A remark.", "", ""]


def test_markers_in_a_step_set_its_evidence_and_exclusion_fields() -> None:
    first, second = parse_guide(NOTE).triage.steps
    assert (first.key, first.evidence, first.exclusion_fields) == ("start-event", "start-event", ())
    assert (second.evidence, second.exclusion_fields) == (None, ("user.name", "process.name"))


@pytest.mark.parametrize(
    ("heading", "part"),
    [
        ("## Triage and analysis", GuidePartName.TRIAGE),
        ("#### Possible investigation steps", GuidePartName.TRIAGE),
        ("# TRIAGE", GuidePartName.TRIAGE),
        ("Triage\n------", GuidePartName.TRIAGE),
        ("### False positive analysis", GuidePartName.FALSE_POSITIVES),
        ("### False Positives", GuidePartName.FALSE_POSITIVES),
        ("### Benign cases", GuidePartName.FALSE_POSITIVES),
        ("### Response and remediation", GuidePartName.RESPONSE),
        ("###### How to respond", GuidePartName.RESPONSE),
    ],
)
def test_a_part_is_recognised_by_its_heading_at_any_level(
    heading: str, part: GuidePartName
) -> None:
    assert step_texts(parse_guide(f"{heading}\n- It.\n"), part) == ["It."]


def test_other_sections_of_a_vendors_note_are_kept_as_text() -> None:
    guide = parse_guide(
        "## Triage and analysis\n\n### Investigating False Response\n\nWhy it matters.\n\n"
        "### Possible investigation steps\n\n- Look.\n\n#### A hint\n\n- Hint.\n\n"
        "### False positive analysis\n\n- None.\n\n### Related rules\n\n- Another - 123\n\n"
        "### Response and remediation\n\n- Act.\n\n## Setup\n\n- Install.\n"
    )
    assert step_texts(guide, GuidePartName.TRIAGE) == ["Look.", "Hint."]
    assert step_texts(guide, GuidePartName.FALSE_POSITIVES) == ["None."]
    assert step_texts(guide, GuidePartName.RESPONSE) == ["Act."]
    assert guide.triage.text == "### Investigating False Response\n\nWhy it matters.\n\n#### A hint"
    assert guide.introduction == "### Related rules\n\n- Another - 123\n\n## Setup\n\n- Install."


def test_a_heading_with_additional_words_stays_in_the_text() -> None:
    guide = parse_guide("## Response within the hour\n- Act.\n")
    assert guide.response.text == "## Response within the hour"


def test_lists_inside_quotes_or_code_are_not_steps() -> None:
    note = "## Triage\n\n> - quoted\n\n```\n- code\n```\n"
    part = parse_guide(note).triage
    assert part.steps == ()
    assert part.text == "> - quoted\n\n```\n- code\n```"


def test_a_step_keeps_its_key_when_moved_or_rewrapped() -> None:
    before = parse_guide("## Triage\n- One thing.\n- Another\n  thing.\n").triage.steps
    after = parse_guide("## Triage\n1. Another thing.\n2. New.\n3. One thing.\n").triage.steps
    assert before[0].key == after[2].key
    assert before[1].key == after[0].key


def test_identical_steps_get_different_keys() -> None:
    note = "## Triage\n- Look.\n- Look.\n- A <!-- evidence: x -->\n- B <!-- evidence: x -->\n"
    keys = [step.key for step in parse_guide(note).triage.steps]
    assert len(set(keys)) == 4
    assert keys[2:] == ["x", "x-2"]


@pytest.mark.parametrize("note", ["", "\n\n", "\x00", "\ud800", "- a", "## Triage", "> " * 3_000])
def test_any_text_parses_as_a_guide(note: str) -> None:
    assert len(parse_guide(note).parts) == 3


_NOTE_LINES = st.sampled_from(
    [
        *(
            "## Triage of w1",
            "### False positives w2",
            "# Response",
            "#### Other w3",
            "w4",
            "w5 w6",
        ),
        *(
            "- w7",
            "  w8",
            "  - w9",
            "1. w10",
            "> w11",
            "    w12",
            "```",
            "",
            "***",
            "| w13 | w14 |",
        ),
        *("[w15]: http://w16", "<b>w13</b>", "\tw18", "-", "w19\n===", "\r", "\r\n- w20\r\n  w21"),
    ]
)


@given(st.lists(_NOTE_LINES, max_size=25).map("\n".join))
def test_no_word_of_a_note_is_lost_in_parsing(note: str) -> None:
    guide = parse_guide(note)
    texts = [guide.introduction]
    for part in guide.parts:
        texts += [part.text, *(step.markdown for step in part.steps)]
    words = re.compile(r"w[0-9]+")
    assert sorted(words.findall("\n".join(texts))) == sorted(words.findall(note))
