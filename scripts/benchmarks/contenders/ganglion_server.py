"""Ganglion's axon, as a miner starts it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import sr25519

from benchmarks import lines
from benchmarks.contenders.ganglion_synapses import (
    Blocks,
    Echo,
    Held,
    Paced,
    Ticks,
    Tokens,
    Word,
)
from benchmarks.payload import HELD_FIRST, HELD_LAST, TEXT, TOKEN, stamp
from benchmarks.profiling import COMMANDS
from node import Axon, Keypair

blocks_made = 0


async def echo(synapse: Echo) -> Echo:
    """Answer in capitals."""
    synapse.answer = synapse.text.upper()
    return synapse


async def tokens(synapse: Tokens) -> AsyncIterator[str]:
    """Write tokens as fast as they go."""
    for _ in range(synapse.count):
        yield TOKEN


async def ticks(synapse: Ticks) -> AsyncIterator[str]:
    """Write tokens with a turn of the loop between."""
    for _ in range(synapse.count):
        await asyncio.sleep(0)
        yield TOKEN


async def paced(synapse: Paced) -> AsyncIterator[str]:
    """Write stamps with time between."""
    for number in range(synapse.count):
        if number:
            await asyncio.sleep(synapse.gap_s)
        yield stamp()


async def held(synapse: Held) -> AsyncIterator[str]:
    """Write a token, and another when the run lets go."""
    yield HELD_FIRST
    await LET_GO.wait()
    yield HELD_LAST


async def blocks(synapse: Blocks) -> AsyncIterator[bytes]:
    """Write large chunks, and count what is made, which back-pressure should hold."""
    global blocks_made  # noqa: PLW0603  one number that the run asks for
    block = b"x" * synapse.size
    for _ in range(synapse.count):
        blocks_made += 1
        yield block


async def word(synapse: Word) -> AsyncIterator[str]:
    """Stand for a miner whose first token takes a while."""
    await asyncio.sleep(synapse.think_s)
    yield "word"


LET_GO = asyncio.Event()
FORWARDS = (echo, tokens, ticks, paced, held, blocks, word)


def verify_cost(count: int) -> dict[str, float]:
    """Return the processor seconds of one sr25519 verification by the library itself."""
    keypair, message = Keypair.generate(), TEXT.encode() * 3
    signature = keypair.sign(message)
    began = time.process_time()
    for _ in range(count):
        sr25519.verify(signature, message, keypair.public_key)
    return {"verify_s": (time.process_time() - began) / count}


async def start(
    stack: AsyncExitStack, *, peers: int = 1, first_key: int = 1, max_workers: int = 32
) -> list[str]:
    """Start axons, each with a key of its own, and return their addresses."""
    addresses = []
    for number in range(first_key, first_key + peers):
        keypair = Keypair.from_seed(number.to_bytes(32, "big"))
        axon = Axon(keypair, ip="127.0.0.1", port=0, max_workers=max_workers)
        for forward in FORWARDS:
            axon.attach(forward)
        await stack.enter_async_context(axon)
        addresses.append(str(axon.info()))
    return addresses


async def main() -> None:
    """Serve until the input ends."""
    written, given = lines.begin(), lines.settings()
    async with AsyncExitStack() as stack:
        addresses = await start(
            stack,
            peers=given.get("peers", 1),
            first_key=given.get("first_key", 1),
            max_workers=given.get("max_workers", 32),
        )
        commands: dict[str, Callable[..., Any]] = {
            "let_go": LET_GO.set,
            "verify_cost": verify_cost,
            "blocks_made": lambda: blocks_made,
            **COMMANDS,
        }
        greeting = {"peers": addresses, "versions": lines.versions("aiohttp", "ganglion")}
        await lines.converse(written, greeting, commands)


if __name__ == "__main__":
    asyncio.run(main())
