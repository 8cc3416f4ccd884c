"""The validator's state file, used from an event loop.

SQLite blocks and its connections belong to one thread, so every call goes to one worker thread, in
the order in which it was made. A call whose await is cancelled still runs to its end there, so a
step is either saved whole or not at all.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .state import Event, Saved, ScoreRow, Step, ValidatorState

__all__ = ["StateKeeper"]

Result = TypeVar("Result")


class StateKeeper:
    """Opens, writes and closes a `ValidatorState` off the loop. Whoever opens it closes it.

    Args:
        state: The state; nobody else uses it meanwhile.
    """

    def __init__(self, state: ValidatorState) -> None:
        self._state = state
        self._worker: ThreadPoolExecutor | None = None

    async def open(self) -> Saved:
        """Open the file, or make it, and return what it holds.

        Raises:
            errors.StateError: It can't be used; see `ValidatorState.open`.
        """
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="state")
        try:
            await self._run(self._state.open)
            return await self._run(self._state.load)
        except BaseException:
            await self.close()
            raise

    async def save_step(
        self, step: Step, events: Sequence[Event], scores: Sequence[ScoreRow]
    ) -> None:
        """As `ValidatorState.save_step`."""
        await self._run(self._state.save_step, step, events, scores)

    async def save_weights(self, block: int, uids: Sequence[int], weights: Sequence[float]) -> None:
        """As `ValidatorState.save_weights`."""
        await self._run(self._state.save_weights, block, uids, weights)

    async def close(self) -> None:
        """Close the file once all writes are done; may be called again."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        closing = asyncio.get_running_loop().run_in_executor(worker, self._state.close)
        try:
            await closing
        finally:
            worker.shutdown(wait=False)

    async def _run(self, work: Callable[..., Result], *args: object) -> Result:
        assert self._worker is not None, "open() comes first"
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, functools.partial(work, *args))
