"""What browsers are told of changes: each once, whoever made it, and none that is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.domain.errors import Unavailable
from app.web import live
from app.web.live import LiveUpdates
from tests.processes import TIMEOUT_SECONDS, wait_until

CHANGED_EVENT = b"event: alerts\ndata: changed\n\n"


class RevisionCounter:
    """Stands for the one in the database, which every process bumps."""

    def __init__(self) -> None:
        self.value = 7
        self.polls = 0
        self.readable = True

    def __call__(self) -> int:
        self.polls += 1
        if not self.readable:
            raise Unavailable("The database is busy.")
        return self.value


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On a loop of its own, in a thread of its own: a browser test leaves its loop in the main one."""
    with ThreadPoolExecutor(1) as own:
        own.submit(lambda: asyncio.run(asyncio.wait_for(work(), TIMEOUT_SECONDS))).result()


async def open_stream(streams: LiveUpdates) -> AsyncIterator[bytes]:
    """A browser's stream, connected."""
    stream = streams.stream()
    assert (await anext(stream)).startswith(b"retry:")
    return stream


async def wait_for_polls(counter: RevisionCounter, times: int = 2) -> None:
    """Wait until the watch has looked so often again."""
    wanted = counter.polls + times
    await asyncio.to_thread(wait_until, lambda: counter.polls >= wanted, "looks")


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> RevisionCounter:
    monkeypatch.setattr(live, "POLL_SECONDS", 0.0001)
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 3600.0)
    return RevisionCounter()


async def assert_no_event(
    streams: LiveUpdates, counter: RevisionCounter, stream: AsyncIterator[bytes]
) -> None:
    """Nothing is told while the watch looks."""
    waiting = asyncio.ensure_future(anext(stream))
    watching = asyncio.create_task(streams.watch())
    await wait_for_polls(counter)
    assert not waiting.done()
    watching.cancel()
    waiting.cancel()
    await asyncio.wait([watching, waiting])


def test_a_change_made_here_is_told_at_once_and_not_again_when_it_is_looked_for(
    counter: RevisionCounter,
) -> None:
    async def work() -> None:
        streams = LiveUpdates(counter)
        streams.start(asyncio.get_running_loop())
        await assert_no_event(streams, counter, await open_stream(streams))
        stream = await open_stream(streams)
        counter.value += 1
        await asyncio.to_thread(streams.publish_change, counter.value)
        assert await anext(stream) == CHANGED_EVENT
        await assert_no_event(streams, counter, stream)

    run(work)


def test_a_change_made_in_another_process_is_told_once(counter: RevisionCounter) -> None:
    async def work() -> None:
        streams = LiveUpdates(counter)
        streams.start(asyncio.get_running_loop())
        stream = await open_stream(streams)
        counter.value += 1
        watching = asyncio.create_task(streams.watch())
        assert await anext(stream) == CHANGED_EVENT
        watching.cancel()
        await assert_no_event(streams, counter, stream)

    run(work)


def test_a_change_is_told_to_whoever_connects_first_and_when_the_counter_cannot_be_read(
    counter: RevisionCounter,
) -> None:
    async def work() -> None:
        streams = LiveUpdates(counter)
        streams.start(asyncio.get_running_loop())
        counter.readable = False
        stream = await open_stream(streams)
        await asyncio.to_thread(streams.publish_change, counter.value)
        assert await anext(stream) == CHANGED_EVENT
        counter.readable = True
        counter.value += 1
        await asyncio.to_thread(streams.publish_change, counter.value)
        assert await anext(stream) == CHANGED_EVENT

    run(work)
