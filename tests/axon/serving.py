"""What tests see of an axon that serves, from within its process."""

from __future__ import annotations

import asyncio

__all__ = ["no_request_in_hand"]


async def no_request_in_hand() -> None:
    """Wait until no connection of an axon has a request in hand."""
    async with asyncio.timeout(15):
        while any("_serve" in repr(task.get_coro()) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)
