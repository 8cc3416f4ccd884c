"""A miner that streams words with pauses, and what the getters of its streams raise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from node import Stream

from .synapses import Words

__all__ = ["PacedMiner", "check_getters", "raised"]

SOON_S = 0.5


class PacedMiner:
    """Streams words with pauses; breaks after some when it is told to."""

    def __init__(self) -> None:
        self.pause_s = 0.02
        self.fail_after: int | None = None
        self.started = 0
        self.ended = 0

    async def forward(self, synapse: Words) -> AsyncIterator[str]:
        self.started += 1
        try:
            for number in range(synapse.count):
                if number == self.fail_after:
                    raise ValueError("broken model")
                yield f"{number} "
                await asyncio.sleep(self.pause_s)
        finally:
            self.ended += 1


async def raised(call: Awaitable[Any]) -> BaseException | None:
    """Return what an awaitable raises, which it must do soon, or None."""
    try:
        async with asyncio.timeout(SOON_S):
            await call
    except TimeoutError:
        raise AssertionError(f"a getter hung for over {SOON_S} s") from None
    except Exception as error:
        return error
    return None


async def check_getters(stream: Stream, kind: type[BaseException]) -> None:
    """Every getter of a failed stream raises the same error, from any task, as often as asked."""
    at_once = await asyncio.gather(raised(stream), raised(stream.final()), raised(stream))
    errors = [*at_once, await raised(stream)]
    assert {type(error) for error in errors} == {kind}
    assert len(set(map(id, errors))) == 1
