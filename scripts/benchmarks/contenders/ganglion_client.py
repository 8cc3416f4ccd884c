"""Ganglion's dendrite, as a validator uses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from benchmarks import lines, loads
from benchmarks.contenders.ganglion_held_back import HeldBack
from benchmarks.contenders.ganglion_synapses import Blocks, Echo, Held, Paced, Ticks, Tokens
from benchmarks.payload import (
    ANSWER,
    BLOCK_BYTES,
    HELD_FIRST,
    HELD_LAST,
    TEXT,
    TOKEN,
    stamped_s,
)
from benchmarks.profiling import COMMANDS
from node import Dendrite, Keypair, Peer, Stream

STREAMS = {"Tokens": Tokens, "Ticks": Ticks}


class Client:
    """Puts loads on the peers that it was given."""

    def __init__(self, dendrite: Dendrite, peers: list[str]) -> None:
        self._dendrite = dendrite
        self._peers = [Peer.parse(peer) for peer in peers]
        self._open: list[tuple[Stream, AsyncIterator[Any]]] = []

    async def unary(self, *, at_once: int, seconds: float) -> dict[str, float]:
        """Ask again and again."""
        return await loads.keep_busy(self.echo, at_once=at_once, seconds=seconds)

    async def echo(self) -> bool:
        """Ask once; returns whether the answer is right."""
        reply = await self._dendrite(self._peers[0], Echo(text=TEXT))
        return bool(reply.is_success and reply.answer == ANSWER)

    async def tokens(self, *, route: str, count: int, seconds: float) -> dict[str, float]:
        """Read one stream of tokens after another."""
        read = partial(self.read_tokens, route, count)
        return await loads.keep_busy(read, at_once=1, seconds=seconds)

    async def read_tokens(self, route: str, count: int) -> bool:
        """Read one stream; returns whether it is whole and ended with its receipt."""
        size = 0
        stream = await self._dendrite(self._peers[0], STREAMS[route](count=count), timeout=60)
        async for piece in stream.chunks():
            size += len(piece)
        reply = await stream
        return size == count * len(TOKEN) and reply.is_success and stream.receipt is not None

    async def first_token(self, *, seconds: float) -> dict[str, float]:
        """Take the time until a stream's first token."""

        async def read() -> list[float]:
            began = time.perf_counter()
            stream = await self._dendrite(self._peers[0], Paced(count=2, gap_s=0.002))
            chunks = stream.chunks()
            await anext(chunks)
            first = time.perf_counter() - began
            async for _ in chunks:
                pass
            assert (await stream).is_success
            return [first]

        return await loads.sample(read, seconds=seconds)

    async def delays(self, *, count: int, gap_s: float, seconds: float) -> dict[str, float]:
        """Take the time that tokens are under way."""

        async def read() -> list[float]:
            stream = await self._dendrite(self._peers[0], Paced(count=count, gap_s=gap_s))
            took = [stamped_s(piece) async for piece in stream.chunks()]
            assert (await stream).is_success
            return took

        return await loads.sample(read, seconds=seconds)

    async def blocks(
        self, *, count: int, seconds: float, size: int = BLOCK_BYTES
    ) -> dict[str, float]:
        """Read one large reply after another."""
        read = partial(self.read_blocks, count, size)
        return await loads.keep_busy(read, at_once=1, seconds=seconds)

    async def read_blocks(self, count: int, size: int = BLOCK_BYTES) -> bool:
        """Read one large reply; returns whether it is whole and ended with its receipt."""
        read = 0
        asked = Blocks(count=count, size=size)
        stream = await self._dendrite(self._peers[0], asked, timeout=None)
        async for piece in stream.chunks():
            read += len(piece)
        reply = await stream
        whole = read == count * size
        return whole and reply.is_success and stream.receipt is not None

    async def fan_out(self, *, barrier: bool = False) -> dict[str, float]:
        """Ask every peer at once; returns when requests had been written, since the call."""
        began = time.perf_counter()
        async with self._dendrite.fan_out(self._peers, Tokens(count=1), barrier=barrier) as streams:
            replies = await asyncio.gather(*(stream.final() for stream in streams))
            seconds = time.perf_counter() - began
            sent_at = [stream.timing.sent_at or 0.0 for stream in streams]
        return {
            "answered": sum(reply.is_success for reply in replies),
            "first_s": min(sent_at) - began,
            "last_s": max(sent_at) - began,
            "seconds": seconds,
        }

    async def hold(self, *, streams: int, at_once: int) -> dict[str, float]:
        """Open streams and read the first token of each."""
        places = asyncio.Semaphore(at_once)

        async def open_one() -> None:
            async with places:
                stream = await self._dendrite(self._peers[0], Held(), timeout=None)
                chunks = stream.chunks()
                assert await anext(chunks) == HELD_FIRST
                self._open.append((stream, chunks))

        began = time.perf_counter()
        await asyncio.gather(*(open_one() for _ in range(streams)))
        return {"open": len(self._open), "seconds": time.perf_counter() - began}

    async def finish(self) -> dict[str, float]:
        """Read the streams that are open to their end."""

        async def read(stream: Stream, chunks: AsyncIterator[Any]) -> bool:
            rest = "".join([piece async for piece in chunks])
            reply = await stream
            return rest == HELD_LAST and reply.is_success and stream.receipt is not None

        served = await asyncio.gather(*(read(*held) for held in self._open))
        self._open.clear()
        return {"served": sum(served)}


async def connect(stack: AsyncExitStack, peers: list[str], *, receipts: bool = False) -> Client:
    """Return a client for as long as the stack is open; its key is always the same."""
    dendrite = Dendrite(Keypair.from_seed(b"c" * 32), receipts=receipts)
    return Client(await stack.enter_async_context(dendrite), peers)


async def main() -> None:
    """Carry out commands until the input ends."""
    written, given = lines.begin(), lines.settings()
    async with AsyncExitStack() as stack:
        client = await connect(stack, given["peers"], receipts=given.get("receipts", False))
        names = ("unary", "tokens", "first_token", "delays", "blocks", "fan_out", "hold", "finish")
        commands = {name: getattr(client, name) for name in names}
        held_back = HeldBack(given["peers"])
        commands |= {"unread": held_back.unread, "beside_silent": held_back.beside_silent}
        greeting = {"versions": lines.versions("aiohttp", "ganglion")}
        await lines.converse(written, greeting, {**commands, **COMMANDS})


if __name__ == "__main__":
    asyncio.run(main())
