"""Ending tasks that talk to a network, also where a cancellation gets lost on its way.

`asyncio.wait_for` of Python 3.11 drops a cancellation that comes in the turn of the loop in which
what it waits for is done (cpython issue 86296), and redis-py sends its commands through it. A task
that goes on for ever would then go on after it was cancelled, and whoever waits for its end would
wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["end_tasks"]

# Far longer than a cancelled task takes to close what it had open.
_AGAIN_S = 2.0


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end, cancelling again those that did not end.

    Raises:
        Exception: What a task ended with, if it was something else than its cancellation.
    """
    tasks = list(tasks)
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.result()
