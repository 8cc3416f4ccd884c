"""Loads for a dendrite whose reader, or whose peers, hold it back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

from benchmarks.contenders.ganglion_synapses import Blocks, Word
from benchmarks.lines import usage
from node import Dendrite, Keypair, Stream

__all__ = ["HeldBack"]


class HeldBack:
    """Carries out the loads, with a dendrite for each.

    Args:
        peers: Addresses of the peers that answer.
    """

    def __init__(self, peers: list[str]) -> None:
        self._peers = peers

    async def unread(self, *, count: int, size: int, hold_s: float) -> dict[str, float]:
        """Take 3 chunks of a stream and then none; returns how much this side's memory grew."""
        async with Dendrite(Keypair.generate()) as dendrite:
            # What Python allocates once for its first stream is not the stream's.
            await dendrite.call(self._peers[0], Blocks(count=4, size=size))
            before = usage()["peak_bytes"]
            asked = Blocks(count=count, size=size)
            stream = await dendrite.stream(self._peers[0], asked, timeout=None)
            chunks = stream.chunks()
            for _ in range(3):
                await anext(chunks)
            await asyncio.sleep(hold_s)
            grown = usage()["peak_bytes"] - before
            await stream.aclose()
        return {"grown_bytes": grown}

    async def beside_silent(self, *, silent: int, think_s: float) -> dict[str, float]:
        """Take the honest peers' first byte, alone and with silent peers between."""
        async with Dendrite(Keypair.generate(), first_byte=2.0) as dendrite:
            await _first_bytes(dendrite, self._peers, [], 0.0)  # connections are made
            with _silent(silent) as mute:
                alone = await _first_bytes(dendrite, self._peers, [], think_s)
                beside = await _first_bytes(dendrite, self._peers, mute, think_s)
        return {"alone_s": median(alone), "beside_s": median(beside)}


async def _first_bytes(
    dendrite: Dendrite, honest: list[str], mute: list[str], think_s: float
) -> list[float]:
    """Ask all at once; the silent ones stand between the honest ones."""
    order = [*honest]
    for index, peer in enumerate(mute):
        order.insert(index * 2, peer)
    async with dendrite.fan_out(order, Word(think_s=think_s), timeout=10) as streams:
        answering = [stream for stream in streams if str(stream.peer) not in set(mute)]
        await asyncio.gather(*(stream.final() for stream in answering))
        return [_first_byte(stream) for stream in answering]


def _first_byte(stream: Stream) -> float:
    assert stream.timing.first_byte_s is not None
    assert stream.timing.sent_s is not None
    return stream.timing.first_byte_s - stream.timing.sent_s


@contextmanager
def _silent(count: int) -> Iterator[list[str]]:
    """Have addresses that take a connection and never say a word.

    The kernel connects to a listening socket by itself, so these cost no processor time, which
    the honest peers on this machine would miss.
    """
    with ExitStack() as stack:
        addresses = []
        for number in range(count):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
            key = Keypair.from_seed((10_000 + number).to_bytes(32, "big"), scheme="ed25519")
            addresses.append(f"{key.ss58_address}@127.0.0.1:{listener.getsockname()[1]}")
        yield addresses
