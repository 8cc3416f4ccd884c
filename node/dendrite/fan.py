"""Reading many streams at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

from node.network import Peer
from node.synapse import Synapse

from .stream import Stream

__all__ = ["first_good", "merge", "together"]

_QUEUE_CHUNKS = 64
_ENDED = object()


async def together(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """Run calls at once and return their results; if one raises, none is left running."""
    if len(calls) == 1:
        return [await calls[0]]  # a task for it alone took 32 us
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await _end(tasks)


async def merge(streams: Sequence[Stream]) -> AsyncIterator[tuple[Peer | None, Any]]:
    """Yield pairs of peer and chunk as they come, until every stream has ended.

    A stream whose call failed just ends; its `final` tells why. At most 64 chunks wait here.
    Leaving the loop closes the streams.

    Raises:
        Exception: What a stream raises, once the chunks before it were yielded.
    """
    queue: asyncio.Queue[tuple[Peer | None, Any]] = asyncio.Queue(_QUEUE_CHUNKS)
    tasks = [asyncio.create_task(_feed(stream, queue)) for stream in streams]
    try:
        for _ in range(len(tasks)):
            while (pair := await queue.get())[1] is not _ENDED:
                yield pair
        await asyncio.gather(*tasks)
    finally:
        await _end(tasks)
        # Also one whose task was cancelled before it began to read.
        await asyncio.gather(*(stream.aclose() for stream in streams))


async def _feed(stream: Stream, queue: asyncio.Queue[tuple[Peer | None, Any]]) -> None:
    try:
        async for chunk in stream.chunks():
            await queue.put((stream.peer, chunk))
    finally:
        # A task that is cancelled has no reader any more, who might be what it waits for.
        if not _is_cancelled():
            await queue.put((stream.peer, _ENDED))


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and bool(task.cancelling())


async def first_good(calls: Sequence[Awaitable[Synapse]], n: int) -> list[Synapse]:
    """Return the first `n` replies that are successes, in order of arrival, and end the rest.

    Fewer when fewer succeed.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    good: list[Synapse] = []
    try:
        for next_reply in asyncio.as_completed(tasks):
            reply = await next_reply
            if reply.is_success:
                good.append(reply)
            if len(good) >= n:
                break
    finally:
        await _end(tasks)
    return good


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
