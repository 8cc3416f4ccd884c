"""Letting many requests go at the same moment."""

from __future__ import annotations

import asyncio

__all__ = ["StartLine"]


class StartLine:
    """Holds requests whose connection stands until all are ready.

    A request that fails before it gets there withdraws, so it holds nobody up; and nobody waits
    longer than the limit for one that is slow to connect.

    Args:
        runners: How many requests there are.
        limit_s: Seconds after which those that are ready go anyway.
    """

    def __init__(self, runners: int, limit_s: float) -> None:
        self._missing = runners
        self._go = asyncio.Event()
        self._timer = asyncio.get_running_loop().call_later(limit_s, self._go.set)

    async def ready(self) -> None:
        """Wait at the line until all go."""
        self.withdraw()
        await self._go.wait()

    def withdraw(self) -> None:
        """Count one request as ready or as failed."""
        self._missing -= 1
        if self._missing <= 0:
            self._go.set()
            self._timer.cancel()
