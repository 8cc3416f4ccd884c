"""How many bytes one exchange takes, counted on a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from node import Axon, Dendrite, Keypair, Peer
from node.neuron.pretokeniser import split_tokens
from node.neuron.prompts import random_prompt
from protocols import StreamPrompting

__all__ = ["Traffic", "count_traffic"]

_EXCHANGES = 20


@dataclass(frozen=True, slots=True)
class Traffic:
    """Mean bytes of one exchange, above TCP: headers, body, frames and receipt."""

    request: float
    reply: float


async def _echo(synapse: StreamPrompting) -> AsyncIterator[str]:
    for token in split_tokens(synapse.messages[0]):
        yield token


class _Meter:
    """A relay that counts what goes through it."""

    def __init__(self, port: int) -> None:
        self.sent = self.received = 0
        self._port = port

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.gather(self._up(reader, back), self._down(there, writer))
        finally:
            for side in (writer, back):
                side.close()
                with suppress(ConnectionError):
                    await side.wait_closed()

    async def _up(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            self.sent += len(data)
            sink.write(data)
        sink.close()

    async def _down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            self.received += len(data)
            sink.write(data)
        sink.close()


async def count_traffic() -> Traffic:
    """Ask a real axon for real prompts over a relay that counts, and return the means."""
    from random import Random

    axon = Axon(Keypair.from_uri("//miner"), ip="127.0.0.1", port=0)
    axon.attach(_echo)
    rng = Random(0)
    async with axon:
        meter = _Meter(axon.port)
        server = await asyncio.start_server(meter.relay, "127.0.0.1", 0)
        async with server:
            peer = Peer(axon.hotkey, "127.0.0.1", server.sockets[0].getsockname()[1])
            async with Dendrite(Keypair.from_uri("//validator")) as dendrite:
                for _ in range(_EXCHANGES):
                    await dendrite.call(
                        peer, StreamPrompting(messages=[random_prompt(rng)]), raise_errors=True
                    )
    return Traffic(meter.sent / _EXCHANGES, meter.received / _EXCHANGES)
