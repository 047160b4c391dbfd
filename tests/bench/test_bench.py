"""The benchmark itself: it judges figures correctly, and both engines find the same matches.

No test asserts a time.
"""

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.report import (
    TARGETS,
    Bound,
    Line,
    Measurement,
    Target,
    compare_growth,
    compare_rate,
    compare_time,
    exit_code,
    without_peer,
)

DETECTION = (
    "decide-1",
    "decide-10",
    "decide-100",
    "rules-300",
    "mixed-10",
    "mixed-100",
    "mixed-300",
)

JUDGED: dict[str, tuple[Bound, float, float, Measurement, bool, bool]] = {
    # bound, floor, goal, measurement, whether the floor is reached, whether the goal is reached
    "the peer takes more times as long": (
        Bound.AT_LEAST,
        5,
        8,
        compare_time(2, 14, "µs"),
        True,
        False,
    ),
    "just as many times": (Bound.AT_LEAST, 5, 8, compare_time(2, 10, "µs"), True, False),
    "fewer times": (Bound.AT_LEAST, 5, 8, compare_time(2, 9.9, "µs"), False, False),
    "the goal": (Bound.AT_LEAST, 5, 8, compare_time(2, 16, "µs"), True, True),
    "a quarter of the rate": (Bound.AT_LEAST, 0.25, 0.5, compare_rate(100, 400, "/s"), True, False),
    "less of the rate": (Bound.AT_LEAST, 0.25, 0.5, compare_rate(99, 400, "/s"), False, False),
    "grows no more": (Bound.AT_MOST, 1.5, 1.25, compare_growth(3, 2, "µs"), True, False),
    "grows more": (Bound.AT_MOST, 1.5, 1.25, compare_growth(3.1, 2, "µs"), False, False),
    "hardly grows": (Bound.AT_MOST, 1.5, 1.25, compare_growth(5, 4, "µs"), True, True),
    "below": (Bound.BELOW, 50, 15, without_peer(49.9, "ms"), True, False),
    "at what it must stay below": (Bound.BELOW, 50, 15, without_peer(50, "ms"), False, False),
}


@pytest.mark.parametrize("case", JUDGED.values(), ids=JUDGED.keys())
def test_a_figure_holds_up_to_its_floor(
    case: tuple[Bound, float, float, Measurement, bool, bool],
) -> None:
    bound, floor, goal, measurement, holds, reaches = case
    line = Line(Target("figure", "a figure", bound, floor, goal, ""), measurement)
    assert (line.holds, line.reaches_goal) == (holds, reaches)
    assert line.row().endswith("holds" if holds else "below floor")
    assert exit_code([line]) == (0 if holds else 1)


def test_one_figure_below_its_floor_or_not_taken_fails_the_run() -> None:
    good = Line(TARGETS["decide-1"], compare_time(1, 5, "µs"))
    slow = Line(TARGETS["decide-10"], compare_time(1, 14, "µs"))
    none = Line(TARGETS["bulk"], None, "not there yet")
    assert exit_code([good]) == 0
    assert exit_code([good, slow]) == 1
    assert exit_code([none, good]) == 1
    assert "not there yet" in none.row()
    assert none.row().endswith("below floor")


def test_a_figure_without_a_floor_is_told_and_fails_nothing_unless_it_was_not_taken() -> None:
    taken = Line(TARGETS["mixed-100"], compare_time(1, 2, "µs"))
    none = Line(TARGETS["mixed-100"], None, "the engines differ")
    assert taken.row().endswith("no floor set")
    assert exit_code([taken]) == 0
    assert none.row().endswith("below floor")
    assert exit_code([none]) == 1


def test_the_detection_figures_are_taken_told_and_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = main(["--quick", "--json", str(tmp_path / "figures.json"), *DETECTION])
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert [figure["name"] for figure in figures] == list(DETECTION)
    for figure in figures:
        assert figure["problem"] == "", "both engines must find the same"
        times, peer = figure["ours"], figure["peer"]
        ratio = times / peer if figure["name"].endswith("-300") else peer / times
        assert figure["value"] == pytest.approx(ratio)
        floor = figure["floor"]
        is_met = floor is None or (ratio <= floor if figure["bound"] == "≤" else ratio >= floor)
        assert figure["holds"] is is_met
        said = "no floor set" if floor is None else "holds" if is_met else "below floor"
        assert rows[figure["name"]].endswith(said)
    assert ended == (0 if all(figure["holds"] for figure in figures) else 1)


def test_a_figure_that_does_not_exist_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["decide-2"])
    assert ended.value.code == 2
    assert "there is no figure decide-2" in capsys.readouterr().err
