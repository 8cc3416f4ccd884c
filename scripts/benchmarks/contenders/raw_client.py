"""Plain aiohttp: a session, no signatures."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial
from types import SimpleNamespace
from typing import Any

import aiohttp

from benchmarks import lines, loads
from benchmarks.payload import (
    ANSWER,
    BLOCK_BYTES,
    HELD_FIRST,
    HELD_LAST,
    STAMP_BYTES,
    TEXT,
    TOKEN,
    stamped_s,
)


class Client:
    """Puts loads on the peers that it was given."""

    def __init__(self, session: aiohttp.ClientSession, peers: list[str]) -> None:
        self._session = session
        self._peers = peers
        self._open: list[aiohttp.ClientResponse] = []

    def _post(self, route: str, asked: dict[str, Any], peer: int = 0) -> Any:
        return self._session.post(f"{self._peers[peer]}/{route}", json=asked)

    async def echo(self, peer: int = 0) -> bool:
        """Ask once; returns whether the answer is right."""
        async with self._post("Echo", {"text": TEXT}, peer) as response:
            answer = await response.json()
        return bool(answer["answer"] == ANSWER)

    async def unary(self, *, at_once: int, seconds: float) -> dict[str, float]:
        """Ask again and again."""
        return await loads.keep_busy(self.echo, at_once=at_once, seconds=seconds)

    async def tokens(self, *, route: str, count: int, seconds: float) -> dict[str, float]:
        """Read one stream of tokens after another."""
        read = partial(self.read_tokens, route, count)
        return await loads.keep_busy(read, at_once=1, seconds=seconds)

    async def read_tokens(self, route: str, count: int) -> bool:
        """Read one stream; returns whether it is whole."""
        size = 0
        async with self._post(route, {"count": count}) as response:
            async for piece in response.content.iter_any():
                size += len(piece)
        return size == count * len(TOKEN)

    async def first_token(self, *, seconds: float) -> dict[str, float]:
        """Take the time until a stream's first token."""

        async def read() -> list[float]:
            began = time.perf_counter()
            async with self._post("Paced", {"count": 2, "gap_s": 0.002}) as response:
                await response.content.readany()
                first = time.perf_counter() - began
                await response.read()
            return [first]

        return await loads.sample(read, seconds=seconds)

    async def delays(self, *, count: int, gap_s: float, seconds: float) -> dict[str, float]:
        """Take the time that tokens are under way."""

        async def read() -> list[float]:
            async with self._post("Paced", {"count": count, "gap_s": gap_s}) as response:
                return [
                    stamped_s(piece[:STAMP_BYTES].decode())
                    async for piece in response.content.iter_any()
                ]

        return await loads.sample(read, seconds=seconds)

    async def blocks(
        self, *, count: int, seconds: float, size: int = BLOCK_BYTES
    ) -> dict[str, float]:
        """Read one large reply after another."""
        read = partial(self.read_blocks, count, size)
        return await loads.keep_busy(read, at_once=1, seconds=seconds)

    async def read_blocks(self, count: int, size: int = BLOCK_BYTES) -> bool:
        """Read one large reply; returns whether it is whole."""
        read = 0
        async with self._post("Blocks", {"count": count, "size": size}) as response:
            async for piece in response.content.iter_any():
                read += len(piece)
        return read == count * size

    async def fan_out(self) -> dict[str, float]:
        """Ask every peer at once; returns when requests had been written, since the call."""
        sent_at.clear()
        began = time.perf_counter()
        right = await asyncio.gather(*(self.echo(peer) for peer in range(len(self._peers))))
        seconds = time.perf_counter() - began
        return {
            "answered": sum(right),
            "first_s": min(sent_at) - began,
            "last_s": max(sent_at) - began,
            "seconds": seconds,
        }

    async def hold(self, *, streams: int, at_once: int) -> dict[str, float]:
        """Open streams and read the first token of each."""
        places = asyncio.Semaphore(at_once)

        async def open_one() -> None:
            async with places:
                response = await self._post("Held", {})
                assert await response.content.readany() == HELD_FIRST.encode()
                self._open.append(response)

        began = time.perf_counter()
        await asyncio.gather(*(open_one() for _ in range(streams)))
        return {"open": len(self._open), "seconds": time.perf_counter() - began}

    async def finish(self) -> dict[str, float]:
        """Read the streams that are open to their end."""
        rests = await asyncio.gather(*(response.read() for response in self._open))
        self._open.clear()
        return {"served": sum(rest == HELD_LAST.encode() for rest in rests)}


sent_at: list[float] = []


def note_sent() -> aiohttp.TraceConfig:
    """Return what notes when each request has been written."""

    async def sent(_session: Any, _context: SimpleNamespace, _params: Any) -> None:
        sent_at.append(time.perf_counter())

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(sent)
    return config


async def connect(stack: AsyncExitStack, peers: list[str]) -> Client:
    """Return a client for as long as the stack is open."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[note_sent()] if len(peers) > 1 else [],
    )
    return Client(await stack.enter_async_context(session), peers)


async def main() -> None:
    """Carry out commands until the input ends."""
    written, given = lines.begin(), lines.settings()
    async with AsyncExitStack() as stack:
        client = await connect(stack, given["peers"])
        names = ("unary", "tokens", "first_token", "delays", "blocks", "fan_out", "hold", "finish")
        commands = {name: getattr(client, name) for name in names}
        await lines.converse(written, {"versions": lines.versions("aiohttp")}, commands)


if __name__ == "__main__":
    asyncio.run(main())
