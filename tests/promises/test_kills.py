"""Promise 1: an acknowledged event is stored, even if the server is killed right after its answer."""

import random
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.processes import run, running_server, wait_until
from tests.promises.ground import (
    FULL_RUN,
    SERVE,
    WRITERS,
    EventSenders,
    is_consistent,
    make_key,
    mutant_command,
    report,
    stored_event_ids,
)

EARLY = mutant_command("early_acknowledger")
KILLS = 300 if FULL_RUN else 15


def count_lost_matches(
    folder: Path, key: str, command: Sequence[str], kills: int
) -> tuple[int, int]:
    """Kill the server `kills` times; return the numbers of acknowledged and of lost matches."""
    acknowledged: set[str] = set()
    chance = random.Random(4)  # noqa: S311 (random waits, no secrets)
    for kill in range(kills):
        with running_server(folder, command) as server:
            with EventSenders(server, key, f"kill-{kill}") as senders:
                wait_until(lambda: len(senders.acknowledged) >= WRITERS, "answers")
                # Sleep for a random time, so that the kill hits the server at a random moment.
                threading.Event().wait(chance.uniform(0.05, 0.6))
                server.process.kill()
            assert senders.unexpected_answers == []
            acknowledged.update(senders.acknowledged)
    return len(acknowledged), len(acknowledged - stored_event_ids(folder))


def test_no_acknowledged_match_is_lost_to_a_kill(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    acknowledged, lost = count_lost_matches(tmp_path, key, SERVE, KILLS)
    sound = is_consistent(tmp_path)
    report(
        capsys,
        1,
        f"{KILLS} kills under {WRITERS} writers, {acknowledged:,} acknowledged matches, {lost} lost, "
        f"integrity {'ok' if sound else 'broken'}",
    )
    assert acknowledged >= KILLS * WRITERS
    assert lost == 0
    assert sound
    assert run(tmp_path, "db", "check").returncode == 0


def test_an_answer_before_the_commit_is_detected(tmp_path: Path) -> None:
    for attempt in range(5):  # a kill loses nothing if no transaction is running
        folder = tmp_path / str(attempt)
        folder.mkdir()
        _, lost = count_lost_matches(folder, make_key(folder, "fleet"), EARLY, 2)
        if lost:
            return
    pytest.fail("a server that acknowledges before it commits was not caught")
