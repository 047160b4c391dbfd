"""Threads that judge: shared out among keys, given up with their requests, ended with the application."""

import asyncio
import gc
import threading
import weakref
from functools import partial

import pytest

from app.domain.errors import Unavailable
from app.ingest.pipeline import MAX_INLINE_BYTES
from app.ingest.thread_pool import MAX_THREADS, MAX_THREADS_PER_KEY, FairThreadPool
from app.web.services import Services
from tests.conftest import AgentClient
from tests.factories import exec_event
from tests.loops import run_in_new_event_loop
from tests.processes import TIMEOUT_SECONDS, wait_until


def test_a_key_at_its_thread_limit_does_not_block_another() -> None:
    go_on = threading.Event()

    async def both() -> int:
        pool = FairThreadPool()
        greedy = [
            asyncio.create_task(pool.run(1, lambda: go_on.wait(TIMEOUT_SECONDS)))
            for _ in range(10 * MAX_THREADS_PER_KEY)
        ]
        try:
            return await pool.run(2, lambda: 42)
        finally:
            go_on.set()
            assert all(await asyncio.gather(*greedy))

    assert run_in_new_event_loop(both) == 42


def test_a_cancelled_request_waits_for_its_running_task() -> None:
    """Else what a body holds would be given back while a thread still works on it."""
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        begun.set()
        assert go_on.wait(TIMEOUT_SECONDS)
        done.append("the work")

    async def cancelled() -> None:
        pool = FairThreadPool()
        waiting = asyncio.create_task(pool.run(1, work))
        await asyncio.to_thread(begun.wait, TIMEOUT_SECONDS)
        for _ in range(2):
            waiting.cancel()
            await asyncio.sleep(0)
        assert not waiting.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        done.append("who waited")
        pool.stop()

    run_in_new_event_loop(cancelled)
    assert done == ["the work", "who waited"]


def test_a_cancelled_request_drops_its_queued_task() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    async def cancelled() -> None:
        pool = FairThreadPool()

        def work(key: int) -> None:
            begun.set()
            assert go_on.wait(TIMEOUT_SECONDS)
            done.append(key)

        waiting = [
            asyncio.create_task(pool.run(key, partial(work, key))) for key in range(MAX_THREADS + 5)
        ]
        await asyncio.to_thread(begun.wait, TIMEOUT_SECONDS)
        for late in waiting[MAX_THREADS:]:
            late.cancel()
        assert all(
            isinstance(error, asyncio.CancelledError)
            for error in await asyncio.gather(*waiting[MAX_THREADS:], return_exceptions=True)
        )
        go_on.set()
        await asyncio.gather(*waiting[:MAX_THREADS])
        pool.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await pool.run(1, go_on.set)

    run_in_new_event_loop(cancelled)
    assert sorted(done) == list(range(MAX_THREADS))


def test_an_idle_thread_holds_no_reference_to_its_last_task() -> None:
    class Body:
        """Something that may be forgotten."""

        def refuse(self) -> None:
            raise ValueError("broken")

    async def forgotten() -> None:
        pool = FairThreadPool()
        body = Body()
        kept = weakref.ref(body)
        with pytest.raises(ValueError, match="broken"):
            await pool.run(1, body.refuse)
        del body

        def is_forgotten() -> bool:
            gc.collect()
            return kept() is None

        await asyncio.to_thread(wait_until, is_forgotten, "the thread has let go of it")
        pool.stop()

    run_in_new_event_loop(forgotten)


def test_worker_threads_end_with_the_application(agent: AgentClient, services: Services) -> None:
    threads_before = [one for one in threading.enumerate() if one.name == "evaluate"]
    assert agent.send_events(exec_event(note="x" * MAX_INLINE_BYTES))["matched"] == 1
    (thread,) = (
        one for one in threading.enumerate() if one.name == "evaluate" and one not in threads_before
    )
    services.pipeline.stop()
    thread.join(TIMEOUT_SECONDS)
    assert not thread.is_alive()
