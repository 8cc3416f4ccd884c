"""The dendrite of SDK 10.5.0, as a validator uses it."""

from __future__ import annotations

from benchmarks import lines

WRITTEN = lines.begin()

import asyncio  # noqa: E402  after the lines have left standard output
import time  # noqa: E402
from types import SimpleNamespace  # noqa: E402
from typing import Any  # noqa: E402

import aiohttp  # noqa: E402
from bittensor.utils import networking  # noqa: E402

from benchmarks import loads  # noqa: E402
from benchmarks.contenders.sdk_synapses import (  # noqa: E402
    Echo,
    Paced,
    Tokens,
    keypair_of,
    sdk,
)
from benchmarks.payload import ANSWER, STAMP_BYTES, TEXT, TOKEN, stamped_s  # noqa: E402

networking.get_external_ip = lambda: "192.0.2.1"


class Client:
    """Puts loads on the peers that it was given."""

    def __init__(self, dendrite: Any, peers: list[dict[str, Any]]) -> None:
        self._dendrite = dendrite
        self._peers = [SimpleNamespace(**peer) for peer in peers]

    async def unary(self, *, at_once: int, seconds: float) -> dict[str, float]:
        """Ask again and again; requests that overtake each other are refused by the axon."""

        async def echo() -> bool:
            reply = await self._dendrite(self._peers[0], Echo(text=TEXT), deserialize=False)
            return bool(reply.is_success and reply.answer == ANSWER)

        return await loads.keep_busy(echo, at_once=at_once, seconds=seconds)

    async def _stream(self, synapse: Any) -> Any:
        """Return what iterates over the chunks and then the final synapse."""
        streams = await self._dendrite(
            [self._peers[0]], synapse, timeout=60, deserialize=False, streaming=True
        )
        return streams[0]

    async def tokens(self, *, route: str, count: int, seconds: float) -> dict[str, float]:
        """Read one stream of tokens after another."""
        assert route == "Tokens"

        async def read() -> bool:
            size = 0
            async for piece in await self._stream(Tokens(count=count)):
                if isinstance(piece, str):
                    size += len(piece)
            return size == count * len(TOKEN)

        return await loads.keep_busy(read, at_once=1, seconds=seconds)

    async def first_token(self, *, seconds: float) -> dict[str, float]:
        """Take the time until a stream's first token."""

        async def read() -> list[float]:
            began = time.perf_counter()
            pieces = aiter(await self._stream(Paced(count=2, gap_s=0.002)))
            assert isinstance(await anext(pieces), str)
            first = time.perf_counter() - began
            async for _ in pieces:
                pass
            return [first]

        return await loads.sample(read, seconds=seconds)

    async def delays(self, *, count: int, gap_s: float, seconds: float) -> dict[str, float]:
        """Take the time that tokens are under way."""

        async def read() -> list[float]:
            asked = Paced(count=count, gap_s=gap_s)
            pieces = [
                stamped_s(piece[:STAMP_BYTES])
                async for piece in await self._stream(asked)
                if isinstance(piece, str)
            ]
            assert pieces
            return pieces

        return await loads.sample(read, seconds=seconds)

    async def fan_out(self) -> dict[str, float]:
        """Ask every peer at once; returns when requests had been written, since the call."""
        sent_at.clear()
        began = time.perf_counter()
        replies = await self._dendrite(self._peers, Echo(text=TEXT), deserialize=False)
        seconds = time.perf_counter() - began
        return {
            "answered": sum(reply.is_success for reply in replies),
            "first_s": min(sent_at) - began,
            "last_s": max(sent_at) - began,
            "seconds": seconds,
        }


sent_at: list[float] = []


def noting_session() -> aiohttp.ClientSession:
    """Return the session that the SDK would make, which also notes when a request is written."""

    async def sent(_session: Any, _context: SimpleNamespace, _params: Any) -> None:
        sent_at.append(time.perf_counter())

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(sent)
    return aiohttp.ClientSession(trace_configs=[config])


async def main() -> None:
    """Carry out commands until the input ends."""
    given = lines.settings()
    async with sdk.Dendrite(keypair_of("//Alice")) as dendrite:
        if len(given["peers"]) > 1:
            dendrite._session = noting_session()  # noqa: SLF001  it has no hook for this
        client = Client(dendrite, given["peers"])
        names = ("unary", "tokens", "first_token", "delays", "fan_out")
        commands = {name: getattr(client, name) for name in names}
        await lines.converse(WRITTEN, {"versions": lines.versions("bittensor")}, commands)


if __name__ == "__main__":
    asyncio.run(main())
