"""Threads that judge: shared out among keys, given up with their requests, ended with the application."""

import asyncio
import gc
import threading
import weakref
from functools import partial

import pytest

from app.domain.errors import Unavailable
from app.ingest.pipeline import AT_ONCE
from app.ingest.turns import THREADS, THREADS_PER_KEY, Turns
from app.web.services import Services
from tests.conftest import Agent
from tests.factories import exec_event
from tests.loops import in_a_loop_of_its_own
from tests.processes import PATIENCE, until


def test_a_key_that_uses_up_its_turns_does_not_hold_up_another() -> None:
    go_on = threading.Event()

    async def both() -> int:
        turns = Turns()
        greedy = [
            asyncio.create_task(turns.run(1, lambda: go_on.wait(PATIENCE)))
            for _ in range(10 * THREADS_PER_KEY)
        ]
        try:
            return await turns.run(2, lambda: 42)
        finally:
            go_on.set()
            assert all(await asyncio.gather(*greedy))

    assert in_a_loop_of_its_own(both) == 42


def test_who_is_cancelled_waits_for_the_end_of_what_was_begun() -> None:
    """Else what a body holds would be given back while a thread still works on it."""
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)
        done.append("the work")

    async def cancelled() -> None:
        turns = Turns()
        waiting = asyncio.create_task(turns.run(1, work))
        await asyncio.to_thread(begun.wait, PATIENCE)
        for _ in range(2):
            waiting.cancel()
            await asyncio.sleep(0)
        assert not waiting.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        done.append("who waited")
        turns.stop()

    in_a_loop_of_its_own(cancelled)
    assert done == ["the work", "who waited"]


def test_who_is_cancelled_before_their_turn_gives_it_up() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    async def cancelled() -> None:
        turns = Turns()

        def work(key: int) -> None:
            begun.set()
            assert go_on.wait(PATIENCE)
            done.append(key)

        waiting = [
            asyncio.create_task(turns.run(key, partial(work, key))) for key in range(THREADS + 5)
        ]
        await asyncio.to_thread(begun.wait, PATIENCE)
        for late in waiting[THREADS:]:
            late.cancel()
        assert all(
            isinstance(error, asyncio.CancelledError)
            for error in await asyncio.gather(*waiting[THREADS:], return_exceptions=True)
        )
        go_on.set()
        await asyncio.gather(*waiting[:THREADS])
        turns.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await turns.run(1, go_on.set)

    in_a_loop_of_its_own(cancelled)
    assert sorted(done) == list(range(THREADS))


def test_a_thread_that_waits_keeps_nothing_of_its_last_turn() -> None:
    class Body:
        """Something that may be forgotten."""

        def refuse(self) -> None:
            raise ValueError("broken")

    async def forgotten() -> None:
        turns = Turns()
        body = Body()
        kept = weakref.ref(body)
        with pytest.raises(ValueError, match="broken"):
            await turns.run(1, body.refuse)
        del body

        def is_forgotten() -> bool:
            gc.collect()
            return kept() is None

        await asyncio.to_thread(until, is_forgotten, "the thread has let go of it")
        turns.stop()

    in_a_loop_of_its_own(forgotten)


def test_the_threads_that_judge_end_with_the_application(agent: Agent, services: Services) -> None:
    judges = [one for one in threading.enumerate() if one.name == "judge"]
    assert agent.receipt(exec_event(note="x" * AT_ONCE))["matched"] == 1
    (judge,) = (one for one in threading.enumerate() if one.name == "judge" and one not in judges)
    services.pipeline.stop()
    judge.join(PATIENCE)
    assert not judge.is_alive()
