"""Helper that runs a coroutine from a synchronous test."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.processes import TIMEOUT_SECONDS

T = TypeVar("T")


def run_in_new_event_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in a new thread: browser tests leave a running event loop in the main thread."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(
            lambda: asyncio.run(asyncio.wait_for(work(), TIMEOUT_SECONDS))
        ).result()
