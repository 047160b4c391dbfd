"""The command of the benchmark: `python -m tests.bench [--json FILE] [--profile] [--quick] [NAMES…]`.

It measures the figures with these names, or all figures, and prints a report. The exit code is 1 if a
figure does not reach its floor or could not be measured.
"""

import argparse
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import alert_list, browsers, detection, service, start
from tests.bench.report import HEADING, TARGETS, Line, Measurement, NotMeasured, exit_code
from tests.bench.rules import RuleStyle
from tests.bench.scale import FULL, QUICK, BenchScale

BENCHMARKS: dict[str, Callable[[BenchScale], Measurement]] = {
    "decide-1": partial(detection.decide, 1, RuleStyle.ALIKE),
    "decide-10": partial(detection.decide, 10, RuleStyle.ALIKE),
    "decide-100": partial(detection.decide, 100, RuleStyle.ALIKE),
    "rules-300": partial(detection.rule_count_scaling, RuleStyle.ALIKE),
    "mixed-10": partial(detection.decide, 10, RuleStyle.MIXED),
    "mixed-100": partial(detection.decide, 100, RuleStyle.MIXED),
    "mixed-300": partial(detection.rule_count_scaling, RuleStyle.MIXED),
    "events": service.events_against_sink,
    "bulk": service.bulk_against_sink,
    "pydantic": service.against_pydantic,
    "browsers": browsers.post_to_browser,
    "alert-list": alert_list.alert_list_latency,
    "memory": service.memory,
    "start": start.start_to_ready,
}
# The number and the style of the rules of each detection figure, for --profile.
PROFILED = {
    "decide-1": (1, RuleStyle.ALIKE),
    "decide-10": (10, RuleStyle.ALIKE),
    "decide-100": (100, RuleStyle.ALIKE),
    "rules-300": (300, RuleStyle.ALIKE),
    "mixed-10": (10, RuleStyle.MIXED),
    "mixed-100": (100, RuleStyle.MIXED),
    "mixed-300": (300, RuleStyle.MIXED),
}


def main(words: Sequence[str]) -> int:
    asked = _arguments(words)
    scale = QUICK if asked.quick else FULL
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "quick": asked.quick,
    }
    print(f"{machine['cores']} cores, Python {machine['python']}, load {machine['load']}")
    if asked.quick:
        print("quick: everything small and hardly repeated, so the figures say little")
    print(f"\n{HEADING}", flush=True)
    lines = []
    for name in asked.names or TARGETS:
        line = _run_benchmark(name, scale)
        lines.append(line)
        print(line.row())
        print(f"            {line.caption()}", flush=True)
        if asked.profile and name in PROFILED:
            for what, microseconds in detection.profile(*PROFILED[name], scale):
                print(f"            {microseconds:8.2f} µs  {what}", flush=True)
    if asked.json:
        report = {"machine": machine, "figures": [line.as_json() for line in lines]}
        asked.json.write_text(
            json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return exit_code(lines)


def _arguments(words: Sequence[str]) -> Any:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Deckwatch's speed beside its peers."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of " + ", ".join(TARGETS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--profile", action="store_true", help="where detection's time goes")
    parser.add_argument(
        "--quick", action="store_true", help="small and hardly repeated, to try it out"
    )
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.names if name not in TARGETS]:
        parser.error(f"there is no figure {unknown[0]}; there are {', '.join(TARGETS)}")
    return asked


def _run_benchmark(name: str, scale: BenchScale) -> Line:
    """Measure one figure. An error becomes the problem of its line and does not end the run."""
    try:
        return Line(TARGETS[name], BENCHMARKS[name](scale))
    except NotMeasured as error:
        return Line(TARGETS[name], None, str(error))
    except Exception as error:
        traceback.print_exc()
        return Line(TARGETS[name], None, f"failed: {type(error).__name__}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
