"""One task per axon that looks after its open streams: heartbeats, and readers that stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from .streaming import ReplyWriter

__all__ = ["StreamWatch"]

logger = logging.getLogger(__name__)


class StreamWatch:
    """Sends heartbeats on idle streams and cuts those whose reader has stopped reading.

    A look every quarter of the shorter interval, and at least once a second, serves all streams;
    a timer for each would cost more than the streams.

    Args:
        heartbeat_s: Seconds without a write after which a stream gets a heartbeat.
        stall_s: Seconds after which a write that the reader does not take cuts the stream.
    """

    def __init__(self, *, heartbeat_s: float, stall_s: float) -> None:
        self._heartbeat_s = heartbeat_s
        self._stall_s = stall_s
        self._writers: set[ReplyWriter] = set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._writers)

    def start(self) -> None:
        """Start looking, until `stop`."""
        self._task = asyncio.create_task(self._run(), name="axon stream watch")

    async def stop(self) -> None:
        """Stop looking; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def begin(self, writer: ReplyWriter) -> None:
        """Look after a stream, until `end`."""
        self._writers.add(writer)

    def end(self, writer: ReplyWriter) -> None:
        """Look after a stream no more; safe to call twice."""
        self._writers.discard(writer)

    async def _run(self) -> None:
        pause_s = min(1.0, self._heartbeat_s / 4, self._stall_s / 4)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause_s)
            now = loop.time()
            for writer in list(self._writers):
                self._look(writer, now)

    def _look(self, writer: ReplyWriter, now: float) -> None:
        if writer.blocked_since is not None:
            if writer.stalled_s(now) >= self._stall_s:
                logger.info("a reader took nothing for %g s; its stream is cut", self._stall_s)
                writer.abort()
        elif now - writer.last_write >= self._heartbeat_s:
            with contextlib.suppress(ConnectionError):
                writer.beat()
