"""Going on in the step in which something came, and not with the next turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

__all__ = ["Wake"]


class Wake(asyncio.Future[None]):
    """A future for one task to await, which goes on before `wake` returns.

    What awaits another future goes on with the next turn of the loop, so that all that came in
    this turn is taken together. Where nothing else can have come that turn is spent for nothing:
    one more look at the sockets, and 15 to 20 us of the 300 or so that an exchange takes.

    Args:
        loop: The running loop.
    """

    __slots__ = ("_step",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._step: tuple[Callable[[Any], object], Context] | None = None

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        """Call this when the future is done; a task that awaits the future asks for that."""
        super().add_done_callback(fn, context=context)
        if context is not None:
            self._step = fn, context

    def wake(self) -> None:
        """Let the task that awaits this run until it waits again; nothing if this is done.

        In the step of a task, which can't hold another's, it goes on with the next turn. Say it at
        the end of a callback: what the task does may come back to whoever said it.
        """
        if self.done():
            return
        step, self._step = self._step, None
        if (
            step is None
            or asyncio.current_task(self.get_loop()) is not None
            or not self.remove_done_callback(step[0])
        ):
            self.set_result(None)
            return
        self.set_result(None)
        go_on, context = step
        context.run(go_on, self)
