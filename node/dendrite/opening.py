"""Waiting for requests to be on the wire, and a stream that can be used before it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from types import TracebackType
from typing import Any

from .stream import Stream

__all__ = ["OpeningStream", "all_sent"]

# A peer that takes no connection must not hold up the replies of those that do.
_EAGER_WAIT_S = 0.25


async def all_sent(streams: Sequence[Stream]) -> None:
    """Wait until every request is on the wire, or is known to be slow in getting there."""
    waits = [stream.on_wire for stream in streams if not stream.on_wire.is_set]
    if not waits:
        return
    loop = asyncio.get_running_loop()
    gate: asyncio.Future[None] = loop.create_future()
    missing = len(waits)

    def count() -> None:
        nonlocal missing
        missing -= 1
        if missing == 0:
            open_gate()

    def open_gate() -> None:
        if not gate.done():
            gate.set_result(None)

    for wait in waits:
        wait.call(count)
    timer = loop.call_later(_EAGER_WAIT_S, open_gate)
    try:
        await gate
    finally:
        timer.cancel()


class OpeningStream:
    """A stream whose request is being sent.

    Await it for the `Stream`, once the request is on the wire; or iterate over it, or enter it
    with `async with`, which closes the stream at the end.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __await__(self) -> Generator[Any, None, Stream]:
        yield from all_sent([self._stream]).__await__()
        return self._stream

    def __aiter__(self) -> AsyncIterator[Any]:
        """As `Stream.__aiter__`."""
        return self._stream.__aiter__()

    def chunks(self) -> AsyncIterator[Any]:
        """As `Stream.chunks`."""
        return self._stream.chunks()

    async def final(self) -> Any:
        """As `Stream.final`."""
        return await self._stream.final()

    async def aclose(self) -> None:
        """As `Stream.aclose`."""
        await self._stream.aclose()

    async def __aenter__(self) -> Stream:
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stream.aclose()
