"""An event loop for a test that has none, and may run beside one."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.processes import TIMEOUT_SECONDS

T = TypeVar("T")


def run_in_new_event_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with ThreadPoolExecutor(1) as own:
        return own.submit(lambda: asyncio.run(asyncio.wait_for(work(), TIMEOUT_SECONDS))).result()
