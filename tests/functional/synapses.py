"""Routes that the tests through the HTTP door share, a peer without limits, and waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from node import Axon, Peer, Synapse, TextStream

__all__ = ["Echo", "Words", "undeclared", "until"]


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


async def until(condition: Callable[[], object], within_s: float = 1.0) -> None:
    """Wait until a condition holds, and fail the test when it does not in time."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"it did not happen within {within_s} s") from None
