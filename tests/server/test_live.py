"""Live updates: browsers get one event for each change, whichever process made it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from app.domain.errors import Unavailable
from app.web import live
from app.web.live import LiveUpdates
from tests.loops import run_in_new_event_loop
from tests.processes import wait_until

CHANGED_EVENT = b"event: alerts\ndata: changed\n\n"


class RevisionCounter:
    """Stands in for the counter in the database, which every process increments."""

    def __init__(self) -> None:
        self.value = 7
        self.polls = 0
        self.readable = True

    def __call__(self) -> int:
        self.polls += 1
        if not self.readable:
            raise Unavailable("The database is busy.")
        return self.value


async def open_stream(streams: LiveUpdates) -> AsyncIterator[bytes]:
    """Return the stream of a connected browser."""
    stream = streams.stream()
    assert (await anext(stream)).startswith(b"retry:")
    return stream


async def wait_for_polls(counter: RevisionCounter, times: int = 2) -> None:
    """Wait until the counter was polled `times` more times."""
    target = counter.polls + times
    await asyncio.to_thread(wait_until, lambda: counter.polls >= target, "the counter is polled")


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> RevisionCounter:
    monkeypatch.setattr(live, "POLL_SECONDS", 0.0001)
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 3600.0)
    return RevisionCounter()


async def assert_no_event(
    streams: LiveUpdates, counter: RevisionCounter, stream: AsyncIterator[bytes]
) -> None:
    """Assert that the stream sends no event while the counter is polled."""
    waiting = asyncio.ensure_future(anext(stream))
    watching = asyncio.create_task(streams.watch())
    await wait_for_polls(counter)
    assert not waiting.done()
    watching.cancel()
    waiting.cancel()
    await asyncio.wait([watching, waiting])


def test_a_change_in_this_process_is_sent_immediately_and_only_once(
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

    run_in_new_event_loop(work)


def test_a_change_in_another_process_is_sent_once(counter: RevisionCounter) -> None:
    async def work() -> None:
        streams = LiveUpdates(counter)
        streams.start(asyncio.get_running_loop())
        stream = await open_stream(streams)
        counter.value += 1
        watching = asyncio.create_task(streams.watch())
        assert await anext(stream) == CHANGED_EVENT
        watching.cancel()
        await assert_no_event(streams, counter, stream)

    run_in_new_event_loop(work)


def test_the_first_browser_gets_changes_even_if_the_counter_cannot_be_read(
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

    run_in_new_event_loop(work)


def test_polling_continues_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise changes by another worker would never be sent again, and the shutdown would fail."""
    revisions: Iterator[int | Unavailable] = iter([1, Unavailable("busy"), *range(2, 1_000)])

    def read_revision() -> int:
        revision = next(revisions)
        if isinstance(revision, Unavailable):
            raise revision
        return revision

    async def work() -> None:
        streams = LiveUpdates(read_revision)
        streams.start(asyncio.get_running_loop())
        watching = asyncio.create_task(streams.watch())
        stream = await open_stream(streams)
        assert await anext(stream) == CHANGED_EVENT
        assert not watching.done()
        watching.cancel()

    monkeypatch.setattr(live, "POLL_SECONDS", 0.001)
    run_in_new_event_loop(work)
