"""The evaluation thread pool: limits per API key, cancelled requests, shutdown."""

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
    proceed = threading.Event()

    async def run_for_two_keys() -> int:
        pool = FairThreadPool()
        greedy = [
            asyncio.create_task(pool.run(1, lambda: proceed.wait(TIMEOUT_SECONDS)))
            for _ in range(10 * MAX_THREADS_PER_KEY)
        ]
        try:
            return await pool.run(2, lambda: 42)
        finally:
            proceed.set()
            assert all(await asyncio.gather(*greedy))

    assert run_in_new_event_loop(run_for_two_keys) == 42


def test_a_cancelled_request_waits_for_its_running_task() -> None:
    """Otherwise its memory reservation would be released while a thread still uses the memory."""
    started, proceed = threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        started.set()
        assert proceed.wait(TIMEOUT_SECONDS)
        done.append("task")

    async def cancelled() -> None:
        pool = FairThreadPool()
        waiting = asyncio.create_task(pool.run(1, work))
        await asyncio.to_thread(started.wait, TIMEOUT_SECONDS)
        for _ in range(2):
            waiting.cancel()
            await asyncio.sleep(0)
        assert not waiting.done()
        proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        done.append("caller")
        pool.stop()

    run_in_new_event_loop(cancelled)
    assert done == ["task", "caller"]


def test_a_cancelled_request_drops_its_queued_task() -> None:
    started, proceed = threading.Event(), threading.Event()
    done: list[int] = []

    async def cancelled() -> None:
        pool = FairThreadPool()

        def work(key: int) -> None:
            started.set()
            assert proceed.wait(TIMEOUT_SECONDS)
            done.append(key)

        waiting = [
            asyncio.create_task(pool.run(key, partial(work, key))) for key in range(MAX_THREADS + 5)
        ]
        await asyncio.to_thread(started.wait, TIMEOUT_SECONDS)
        for late in waiting[MAX_THREADS:]:
            late.cancel()
        assert all(
            isinstance(error, asyncio.CancelledError)
            for error in await asyncio.gather(*waiting[MAX_THREADS:], return_exceptions=True)
        )
        proceed.set()
        await asyncio.gather(*waiting[:MAX_THREADS])
        pool.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await pool.run(1, proceed.set)

    run_in_new_event_loop(cancelled)
    assert sorted(done) == list(range(MAX_THREADS))


def test_an_idle_thread_holds_no_reference_to_its_last_task() -> None:
    class Body:
        def refuse(self) -> None:
            raise ValueError("broken")

    async def drop_task() -> None:
        pool = FairThreadPool()
        body = Body()
        reference = weakref.ref(body)
        with pytest.raises(ValueError, match="broken"):
            await pool.run(1, body.refuse)
        del body

        def is_collected() -> bool:
            gc.collect()
            return reference() is None

        await asyncio.to_thread(wait_until, is_collected, "the thread has released the body")
        pool.stop()

    run_in_new_event_loop(drop_task)


def test_worker_threads_end_with_the_application(agent: AgentClient, services: Services) -> None:
    threads_before = threading.enumerate()
    assert agent.send_events(exec_event(note="x" * MAX_INLINE_BYTES))["matched"] == 1
    (thread,) = (
        thread
        for thread in threading.enumerate()
        if thread.name == "evaluate" and thread not in threads_before
    )
    services.pipeline.stop()
    thread.join(TIMEOUT_SECONDS)
    assert not thread.is_alive()
