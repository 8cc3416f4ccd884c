"""One task per axon that keeps its idle streams alive."""

from __future__ import annotations

import asyncio
import contextlib

from .streaming import ReplyWriter

__all__ = ["Heartbeats"]


class Heartbeats:
    """Sends heartbeats on streams whose forward has nothing to say for a while.

    A look every quarter of the interval, and at least once a second, serves all streams; a timer
    for each would cost more than the streams.

    Args:
        interval_s: Seconds without a write after which a stream gets a heartbeat.
    """

    def __init__(self, *, interval_s: float) -> None:
        self._interval_s = interval_s
        self._writers: set[ReplyWriter] = set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._writers)

    def start(self) -> None:
        """Start looking, until `stop`."""
        self._task = asyncio.create_task(self._run(), name="axon heartbeats")

    async def stop(self) -> None:
        """Stop looking; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def begin(self, writer: ReplyWriter) -> None:
        """Keep a stream alive, until `end`."""
        self._writers.add(writer)

    def end(self, writer: ReplyWriter) -> None:
        """Look after a stream no more; safe to call twice."""
        self._writers.discard(writer)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self._interval_s / 4))
            due = loop.time() - self._interval_s
            for writer in [writer for writer in self._writers if writer.last_write <= due]:
                with contextlib.suppress(ConnectionError):
                    writer.beat()
