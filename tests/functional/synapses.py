"""Routes that the tests through the HTTP door share, a peer without limits, and waiting.

How long `until` waits is for machines that are busy, and less than what else would end a wait: a
dendrite's deadline is 12 s by default, and an axon's heartbeats and grace period are 10 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from node import Axon, Peer, Synapse, TextStream

__all__ = ["PATIENCE_S", "Echo", "Words", "settled", "undeclared", "until"]

PATIENCE_S = 8.0


class Echo(Synapse):
    """Asks for its own text back."""

    text: str
    answer: str = ""


class Words(TextStream):
    """Asks for a number of words, streamed."""

    count: int = 3


def undeclared(axon: Axon) -> Peer:
    """Return where an axon is without its capacity, so that requests queue there and not here."""
    return replace(axon.info(), capacity=())


async def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds, and fail the test when it does not in time."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"it did not happen within {within_s} s") from None


async def settled(number: Callable[[], int]) -> int:
    """Return a number that grows, once it has stood still for a while."""
    before, looks = -1, 0
    while looks < 10:
        now = number()
        looks = looks + 1 if now == before else 0
        before = now
        await asyncio.sleep(0.02)
    return before
