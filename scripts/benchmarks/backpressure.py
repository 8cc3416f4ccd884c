"""Memory of both sides while a reader takes 3 of 4,000 chunks of 64 KiB and then waits."""

from __future__ import annotations

import asyncio

from figures import Figure
from peers import Blocks, peak_bytes, running

from node import Dendrite, Keypair

LIMIT_BYTES = 8 * 2**20
CHUNK_BYTES = 64 * 1024
HOLD_S = 3.0


async def measure() -> list[Figure]:
    """Return how much each side grew, and how far the generator got."""
    async with running(1) as peers, Dendrite(Keypair.generate("ed25519")) as dendrite:
        (peer,) = peers.addresses
        # What Python allocates once for its first stream is not the stream's.
        await dendrite.call(peer, Blocks(count=4, size=CHUNK_BYTES))
        ours, theirs = peak_bytes(), (await peers.ask())["peak_bytes"]
        stream = await dendrite.stream(peer, Blocks(count=4_000, size=CHUNK_BYTES), timeout=None)
        chunks = stream.chunks()
        for _ in range(3):
            await anext(chunks)
        await asyncio.sleep(HOLD_S)
        counted = await peers.ask()
        await stream.aclose()
    return [
        _growth("reader's memory, 3 of 4,000 x 64 KiB taken", peak_bytes() - ours),
        _growth("axon's memory, the same", counted["peak_bytes"] - theirs),
        Figure("chunks that the generator made meanwhile", counted["sent"] - 4, "", "< 4,000",
               counted["sent"] < 4_000),
    ]  # fmt: skip


def _growth(name: str, grown: int) -> Figure:
    return Figure(name, grown / 2**20, "MiB", "< 8 MiB", grown < LIMIT_BYTES)
