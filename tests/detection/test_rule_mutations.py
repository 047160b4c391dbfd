"""Randomly damaged rule files: loading never raises an exception and reports each problem with its line."""

import os
import re
from pathlib import Path
from random import Random

import pytest

from app.detection.detector import Detector
from app.detection.rule import BUNDLED_RULES_DIR, load_rules
from app.detection.rule_tests import run_tests

MUTATIONS = int(os.environ.get("RULE_MUTATIONS", "2000"))
"""The number of damaged rule files. `make torture` sets 10,000."""

BATCHES = 8
INSERTED_WORDS = (
    *(
        "and",
        "or",
        "not",
        "where",
        "in",
        "in~",
        "like~",
        "regex",
        ":",
        "==",
        "!=",
        "<",
        "(",
        ")",
        ",",
    ),
    *(
        '"',
        '"""',
        "'''",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        "\n",
        "\\",
        "\x00",
        "\u202e",
        "ſ",
        "`",
        "?",
    ),
    *(
        "null",
        "true",
        "-1",
        "9" * 400,
        "1e999",
        "*",
        "%",
        "|",
        "sequence",
        "any",
        "length(",
        "cidrMatch(",
    ),
    *(
        "query",
        "[rule]",
        "[[test]]",
        "matches",
        "event",
        "risk_score",
        "severity",
        "note",
        "threat",
    ),
)
SOURCES = tuple(path.read_text() for path in sorted(BUNDLED_RULES_DIR.glob("*.toml")))


def mutate(draw: Random) -> bytes:
    """Return a bundled rule file, usually without its guide, with one to five random changes."""
    text = draw.choice(SOURCES)
    if draw.random() < 0.9:
        text = re.sub(r'note = """.*?"""', 'note = "A guide."', text, flags=re.DOTALL)
        text = text[: text.find("[[test]]", text.find("[[test]]") + 1)]
    for _ in range(draw.randrange(1, 6)):
        start = draw.randrange(len(text) + 1)
        end = min(len(text), start + draw.choice((0, 1, 1, 3, 20, 200)))
        middle = draw.choice(
            (
                "",
                draw.choice(INSERTED_WORDS),
                " ".join(draw.choices(INSERTED_WORDS, k=4)),
                text[start:end] * draw.choice((2, 3, 50)),
                text[start:end][::-1],
                draw.choice(INSERTED_WORDS) * draw.choice((1, 40, 2_000)),
            )
        )
        text = text[:start] + middle + text[end:]
    raw = text.encode("utf-8", "surrogatepass")
    if draw.random() < 0.1:
        start = draw.randrange(len(raw) + 1)
        inserted = draw.choice((b"\xff", b"\x00", b"\xed\xa0\x80", b"\r", b""))
        raw = raw[:start] + inserted + raw[start + 1 :]
    return raw


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_damaged_rule_file_loads_or_reports_a_position(batch: int, tmp_path: Path) -> None:
    draw = Random(batch)  # noqa: S311 (no secret)
    path = tmp_path / "damaged.toml"
    loaded_rules = refused_files = 0
    for _ in range(MUTATIONS // BATCHES):
        raw = mutate(draw)
        path.write_bytes(raw)
        loaded = load_rules([path])
        loaded_rules += len(loaded.rules)
        refused_files += bool(loaded.problems)
        assert loaded.rules or loaded.problems
        lines = raw.count(b"\n") + raw.count(b"\r") + 1
        for problem in loaded.problems:
            assert 1 <= problem.line <= lines
            assert str(problem).startswith(f"{path}:{problem.line}")
        for rule in loaded.rules:
            run_tests(rule)
            Detector([rule]).match_json(b'{"event": {"category": "process"}}')
    # If every file were refused at its first problem, the later steps of loading would not be tested.
    assert loaded_rules > MUTATIONS / BATCHES / 50
    assert refused_files > MUTATIONS / BATCHES / 2
