"""Routes that the tests through the HTTP door share, and waiting for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node import Synapse, TextStream

__all__ = ["Echo", "Words", "until"]


class Echo(Synapse):
    """Asks for its own text back."""

    text: str
    answer: str = ""


class Words(TextStream):
    """Asks for a number of words, streamed."""

    count: int = 3


async def until(condition: Callable[[], object], within_s: float = 1.0) -> None:
    """Wait until a condition holds, and fail the test when it does not in time."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"it did not happen within {within_s} s") from None
