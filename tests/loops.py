"""An event loop for a test that has none, and may run beside one."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.processes import PATIENCE

T = TypeVar("T")


def in_a_loop_of_its_own(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with ThreadPoolExecutor(1) as own:
        return own.submit(lambda: asyncio.run(asyncio.wait_for(work(), PATIENCE))).result()
