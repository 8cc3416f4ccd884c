"""Peers in a process of their own; started by a measure, and ended by it.

Run as `python peers.py COUNT`: prints a JSON line with its addresses, serves until its standard
input closes, and answers each line on it with a JSON line of what it has counted.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from node import Axon, Keypair, TextStream


class Blocks(TextStream):
    """Streams `count` chunks of `size` bytes."""

    count: int
    size: int


class Word(TextStream):
    """Streams one word after `think_s` seconds."""

    think_s: float = 0.0


def peak_bytes() -> int:
    """The most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


sent = 0


async def blocks(synapse: Blocks) -> AsyncIterator[bytes]:
    """Count what is made, which back-pressure should hold."""
    global sent  # noqa: PLW0603  one number that the parent asks for
    block = b"x" * synapse.size
    for _ in range(synapse.count):
        sent += 1
        yield block


async def word(synapse: Word) -> AsyncIterator[str]:
    """Stand for a miner whose first token takes a while."""
    await asyncio.sleep(synapse.think_s)
    yield "word"


async def serve_honest(stack: AsyncExitStack, count: int) -> list[str]:
    """Start `count` axons and return their addresses."""
    addresses = []
    for number in range(count):
        keypair = Keypair.from_seed(number.to_bytes(32, "big"), scheme="ed25519")
        axon = Axon(keypair, ip="127.0.0.1", port=0).attach(blocks).attach(word)
        await stack.enter_async_context(axon)
        addresses.append(str(axon.info()))
    return addresses


async def main(count: int) -> None:
    """Serve until standard input closes."""
    async with AsyncExitStack() as stack:
        print(json.dumps(await serve_honest(stack, count)), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps({"peak_bytes": peak_bytes(), "sent": sent}), flush=True)


class Peers:
    """A running process of peers, as its parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process, addresses: list[str]) -> None:
        self._process = process
        self.addresses = addresses

    async def ask(self) -> dict[str, Any]:
        """What it has counted by now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        counted: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return counted


@asynccontextmanager
async def running(count: int) -> AsyncIterator[Peers]:
    """Run `count` axons in a process of their own for as long as the block runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__)), str(count),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield Peers(process, json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


@contextmanager
def silent(count: int) -> Iterator[list[str]]:
    """Have `count` addresses that take a connection and never say a word.

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


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
