"""Peers that answer on loopback from a thread of this process, for commands that run here."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager

from node import Axon, Keypair, Peer
from node.errors import Forbidden
from node.wire import ReplyDigest
from protocols import StreamPrompting
from tests.raw_http import read_request, reply_head, scripted_peer

__all__ = ["PIECES", "WHOLE", "served"]

PIECES = ("one", " two", " three", " é日🚀", " and", " on")
WHOLE = "".join(PIECES)
_FRAMES = "application/x-ganglion-frames"


async def _stream(synapse: StreamPrompting) -> AsyncIterator[str]:
    for piece in PIECES:
        yield piece
        await asyncio.sleep(0.002)


async def _dump(synapse: StreamPrompting) -> AsyncIterator[str]:
    await asyncio.sleep(0.05)
    for piece in PIECES:
        yield piece


async def _fail(synapse: StreamPrompting) -> AsyncIterator[str]:
    for piece in PIECES[:2]:
        yield piece
        await asyncio.sleep(0.002)
    raise Forbidden("no more")


async def _document(synapse: StreamPrompting) -> StreamPrompting:
    synapse.completion = WHOLE
    return synapse


async def _lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends one chunk, and an END of another."""
    await read_request(reader)
    digest = ReplyDigest()
    digest.add(b"another")
    end = json.dumps({"chunks": 1, "sha256": digest.hexdigest()}).encode()
    frames = struct.pack(">BI", 16, 3) + b"one" + struct.pack(">BI", 19, len(end)) + end
    writer.write(reply_head(_FRAMES, f"Content-Length: {len(frames)}") + frames)
    await writer.drain()


async def _serve(loop_of: dict[str, asyncio.AbstractEventLoop], peers: dict[str, Peer],
                 ready: threading.Event, done: asyncio.Event) -> None:  # fmt: skip
    forwards = {
        "stream": _stream, "dump": _dump, "fail": _fail, "document": _document, "unsigned": _stream,
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        for name, forward in forwards.items():
            key = Keypair.from_uri(f"//{name}")
            axon = Axon(
                key, ip="127.0.0.1", port=0, receipts=name != "unsigned",
                protocols=("btauth", "epistula"),
            )  # fmt: skip
            axon.attach(forward)
            await stack.enter_async_context(axon)
            peers[name] = axon.info()
        liar = scripted_peer(_lie, Keypair.from_uri("//liar").ss58_address)
        peers["liar"] = await stack.enter_async_context(liar)
        loop_of["loop"] = asyncio.get_running_loop()
        ready.set()
        await done.wait()


@contextmanager
def served() -> Iterator[dict[str, Peer]]:
    """Peers by what they do: stream, dump, fail, document, unsigned, liar, and nobody.

    `document` answers with one JSON document; `liar`'s END does not hold; `nobody` is not there.
    """
    peers: dict[str, Peer] = {}
    loop_of: dict[str, asyncio.AbstractEventLoop] = {}
    ready, done = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(loop_of, peers, ready, done)))
    thread.start()
    try:
        assert ready.wait(10), "the peers did not start"
        peers["nobody"] = Peer(Keypair.from_uri("//nobody").ss58_address, "127.0.0.1", 1)
        yield peers
    finally:
        loop_of["loop"].call_soon_threadsafe(done.set)
        thread.join(10)
