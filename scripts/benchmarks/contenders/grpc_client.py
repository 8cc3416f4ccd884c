"""grpc.aio: a channel with JSON for messages, no signatures."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import grpc.aio

from benchmarks import lines, loads
from benchmarks.payload import ANSWER, TEXT, TOKEN, stamped_s


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as it travels."""
    return json.dumps(message).encode()


class Client:
    """Puts loads on its server."""

    def __init__(self, channel: Any) -> None:
        self._echo = channel.unary_unary(
            "/bench/Echo", request_serializer=encode, response_deserializer=json.loads
        )
        self._streams = {
            name: channel.unary_stream(f"/bench/{name}", request_serializer=encode)
            for name in ("Tokens", "Paced")
        }

    async def unary(self, *, at_once: int, seconds: float) -> dict[str, float]:
        """Ask again and again."""

        async def echo() -> bool:
            answer = await self._echo({"text": TEXT})
            return bool(answer["answer"] == ANSWER)

        return await loads.keep_busy(echo, at_once=at_once, seconds=seconds)

    async def tokens(self, *, route: str, count: int, seconds: float) -> dict[str, float]:
        """Read one stream of tokens after another."""

        async def read() -> bool:
            size = 0
            async for piece in self._streams[route]({"count": count}):
                size += len(piece)
            return size == count * len(TOKEN)

        return await loads.keep_busy(read, at_once=1, seconds=seconds)

    async def first_token(self, *, seconds: float) -> dict[str, float]:
        """Take the time until a stream's first token."""

        async def read() -> list[float]:
            began = time.perf_counter()
            pieces = aiter(self._streams["Paced"]({"count": 2, "gap_s": 0.002}))
            await anext(pieces)
            first = time.perf_counter() - began
            async for _ in pieces:
                pass
            return [first]

        return await loads.sample(read, seconds=seconds)

    async def delays(self, *, count: int, gap_s: float, seconds: float) -> dict[str, float]:
        """Take the time that tokens are under way."""

        async def read() -> list[float]:
            asked = {"count": count, "gap_s": gap_s}
            return [stamped_s(piece.decode()) async for piece in self._streams["Paced"](asked)]

        return await loads.sample(read, seconds=seconds)


async def main() -> None:
    """Carry out commands until the input ends."""
    written, given = lines.begin(), lines.settings()
    async with grpc.aio.insecure_channel(given["peers"][0]) as channel:
        client = Client(channel)
        names = ("unary", "tokens", "first_token", "delays")
        commands = {name: getattr(client, name) for name in names}
        await lines.converse(written, {"versions": lines.versions("grpcio")}, commands)


if __name__ == "__main__":
    asyncio.run(main())
