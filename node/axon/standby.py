"""A task that stands ready for a request which has not come yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context

from node.wake import Wake

from .request import Request

__all__ = ["Standby"]


class Standby:
    """Serves one request, in the very step that gives it one.

    Making a task and having the loop begin it is done beforehand, while the client reads the reply
    before. Whoever made it gives it a request or cancels it.

    Args:
        serve: What serves the request.
        context: What it runs in, and nothing else does.

    Attributes:
        task: Ends when the request has been served, or with `cancel`.
    """

    __slots__ = ("_request", "_serve", "_start", "task")

    def __init__(self, serve: Callable[[Request], Awaitable[None]], context: Context) -> None:
        loop = asyncio.get_running_loop()
        self._serve = serve
        self._request: Request | None = None
        self._start = Wake(loop)
        self.task = loop.create_task(self._run(), context=context)

    @property
    def waits(self) -> bool:
        """Whether it can serve: nobody has cancelled it, which anybody may do to a task."""
        return not self.task.cancelling()

    def begin(self, request: Request) -> None:
        """Serve this, the only one; at once, outside the step of a task."""
        self._request = request
        self._start.wake()

    def cancel(self) -> None:
        """End it; said instead of `begin`."""
        self.task.cancel()

    async def _run(self) -> None:
        await self._start
        assert self._request is not None
        await self._serve(self._request)
