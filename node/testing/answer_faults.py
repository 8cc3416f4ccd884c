"""Faults of when and how much a peer answers: late, all at once, half, too much, or broken off."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel

from node.axon.forward import StreamAnswer, Write
from node.axon.open_reply import OpenReply
from node.axon.reply import Reply
from node.axon.request import Request
from node.errors import ForwardFailed, StreamMisuse
from node.synapse import Synapse

from .behaviour import Behaviour, Cut, Serve, hang_up

__all__ = ["Buffering", "Crashing", "Flooding", "SlowFirstByte", "Truncating"]


@dataclass(frozen=True)
class SlowFirstByte(Behaviour):
    """Answers right, and late: nothing comes before the delay is over, then all as usual.

    Args:
        delay_s: Seconds that it waits.
    """

    name: ClassVar[str] = "slow_first_byte"
    delay_s: float = 2.0

    async def reply(self, synapse: Synapse, asked: Synapse) -> Synapse:
        """Wait before the reply."""
        await asyncio.sleep(self.delay_s)
        return synapse

    async def stream(self, push: StreamAnswer, write: Write, cut: Cut) -> None:
        """Wait before the first chunk."""
        await asyncio.sleep(self.delay_s)
        await push(write)


@dataclass(frozen=True)
class Buffering(Behaviour):
    """Holds a stream back until it is complete and then dumps it, as if it had not streamed.

    The chunks, their count and the receipt are right. A reply in one piece is only late.

    Args:
        delay_s: Seconds that it waits besides, before it dumps.
    """

    name: ClassVar[str] = "buffering"
    delay_s: float = 2.0

    async def reply(self, synapse: Synapse, asked: Synapse) -> Synapse:
        """Wait before the reply."""
        await asyncio.sleep(self.delay_s)
        return synapse

    async def stream(self, push: StreamAnswer, write: Write, cut: Cut) -> None:
        """Gather the whole answer, wait, and write it."""
        held: list[Any] = []

        async def keep(item: Any) -> None:
            held.append(item)

        await push(keep)
        await asyncio.sleep(self.delay_s)
        for item in held:
            await write(item)


@dataclass(frozen=True)
class Truncating(Behaviour):
    """Cuts the connection in the middle of a reply: half of the chunks, or bytes, and no end.

    Chunks come at half the pace, since only so may the middle be known when the end is reached.
    """

    name: ClassVar[str] = "truncating"

    async def handle(self, request: Request, serve: Serve) -> Reply | OpenReply:
        """Cut a reply in one piece; a streamed one is cut by then."""
        reply = await serve(request)
        answer = _answer_of(request, reply)
        if answer is None:
            return reply
        if request.transport is not None:
            part = answer.body[: len(answer.body) // 2]
            request.transport.write(answer.encode_head(closes=False) + part)
        return await hang_up(request)

    async def stream(self, push: StreamAnswer, write: Write, cut: Cut) -> None:
        """Write every other item that comes, in order, and cut at the end."""
        held: deque[Any] = deque()
        came = 0

        async def keep(item: Any) -> None:
            nonlocal came
            came += 1
            held.append(item)
            if came % 2 == 0:
                await write(held.popleft())

        await push(keep)
        if came == 1:
            await write(_first_half(held[0]))
        # An axon writes at the end of a turn of its loop; what is cut before was never sent.
        await asyncio.sleep(0)
        await cut()


@dataclass(frozen=True)
class Crashing(Behaviour):
    """Fails while it answers: an error in the middle of a stream, or instead of a reply.

    Args:
        after_chunks: Items that it sends before; 0 fails before the stream begins.
    """

    name: ClassVar[str] = "crashing"
    after_chunks: int = 1

    async def reply(self, synapse: Synapse, asked: Synapse) -> Synapse:
        """Fail."""
        raise self._failure()

    async def stream(self, push: StreamAnswer, write: Write, cut: Cut) -> None:
        """Write so many items, then fail."""
        left = self.after_chunks

        async def keep(item: Any) -> None:
            nonlocal left
            if left == 0:
                raise self._failure()
            left -= 1
            await write(item)

        await push(keep)
        raise self._failure()

    def _failure(self) -> ForwardFailed:
        # An error of ours and not a plain one: an axon logs a plain one with its traceback.
        return ForwardFailed("this peer of a test network crashes")


@dataclass(frozen=True)
class Flooding(Behaviour):
    """Sends without end, until the caller leaves: chunks before the last one, or a giant reply.

    Args:
        chunk_bytes: Length of a text or bytes chunk of the flood, about; models are repeated as
            they are.
        pause_s: Seconds between two chunks, so that a laptop bears it. With the defaults it is
            some 3 MB a second.
    """

    name: ClassVar[str] = "flooding"
    chunk_bytes: int = field(default=4096, metadata={"least": 1})
    pause_s: float = 0.001

    async def handle(self, request: Request, serve: Serve) -> Reply | OpenReply:
        """Let a reply in one piece go on with spaces, which JSON allows anywhere."""
        reply = await serve(request)
        answer = _answer_of(request, reply)
        if answer is None:
            return reply
        flood = OpenReply(request, answer.headers)
        await flood.write(answer.body[:-1])
        while True:
            await flood.write(b" " * self.chunk_bytes)
            await asyncio.sleep(self.pause_s)

    async def stream(self, push: StreamAnswer, write: Write, cut: Cut) -> None:
        """Write all but the last item, and the one before it for ever."""
        last: deque[Any] = deque(maxlen=2)

        async def keep(item: Any) -> None:
            if last:
                await write(last[-1])
            last.append(item)

        await push(keep)
        # A typed stream with nothing but a header and a footer takes neither twice.
        with suppress(StreamMisuse):
            while last:
                await write(self._swollen(last[0]))
                await asyncio.sleep(self.pause_s)
        for item in list(last)[-1:]:
            await write(item)

    def _swollen(self, item: Any) -> Any:
        if isinstance(item, BaseModel) or not item:
            return item
        whole = item if isinstance(item, str) else bytes(item)
        return whole * -(-self.chunk_bytes // len(whole))


def _answer_of(request: Request, reply: Reply | OpenReply) -> Reply | None:
    """The reply if it is a successful answer in one piece, which is not sent yet."""
    if request.method != "POST" or reply.status != 200 or not isinstance(reply, Reply):
        return None
    return reply


def _first_half(item: Any) -> Any:
    return item if isinstance(item, BaseModel) else item[: -(-len(item) // 2)]
