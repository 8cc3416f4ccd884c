"""Runs streams of every kind and tells what is left open; in a process where nothing else does.

`python -m tests.functional.leak_program` prints one JSON object: for every kind the numbers of
open files and tasks after one call and after five, and those before everything and at the end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node import Axon, Dendrite, Keypair, Peer
from tests.axon.serving import standing_ready
from tests.functional.synapses import Echo, Words

ALICE, BOB, EVE = (Keypair.from_uri(uri) for uri in ("//Alice", "//Bob", "//Eve"))
FAIL_FIRST, WHOLE, FAIL_MIDWAY, ENDLESS = range(1, 5)

Count = tuple[int, int]


@dataclass
class Scene:
    """Who is there.

    Attributes:
        dendrite: The caller.
        good: A node.
        bad: A peer that answers garbage.
        dead: A port where nothing listens.
    """

    dendrite: Dendrite
    good: Peer
    bad: Peer
    dead: Peer


async def words(synapse: Words) -> AsyncIterator[str]:
    if synapse.count == FAIL_FIRST:
        raise ValueError
    yield "a"
    await asyncio.sleep(0)
    yield "b"
    if synapse.count == FAIL_MIDWAY:
        raise ValueError
    if synapse.count == ENDLESS:
        await asyncio.sleep(60)


def echo(synapse: Echo) -> Echo:
    return synapse


async def answer_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ganglion-frames\r\n\r\ngarbage")
    writer.close()


async def break_off(scene: Scene) -> None:
    async for _ in scene.dendrite.stream(scene.good, Words(count=ENDLESS)):
        break


async def close(scene: Scene) -> None:
    stream = await scene.dendrite(scene.good, Words(count=ENDLESS))
    await stream.aclose()


async def drop(scene: Scene) -> None:
    await scene.dendrite(scene.good, Words(count=ENDLESS))


async def cancel(scene: Scene) -> None:
    task = asyncio.create_task(scene.dendrite.call(scene.good, Words(count=ENDLESS)))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def be_refused(scene: Scene) -> None:
    async with Dendrite(EVE, bound=False) as stranger:
        await stranger.call(scene.good, Words())


async def merge(scene: Scene) -> None:
    async for _ in scene.dendrite.merge(await scene.dendrite([scene.good] * 3, Words(count=WHOLE))):
        pass


async def merge_break(scene: Scene) -> None:
    streams = await scene.dendrite([scene.good] * 3, Words(count=ENDLESS))
    async for _ in scene.dendrite.merge(streams):
        break


async def fan_out(scene: Scene) -> None:
    peers = [scene.good, scene.dead, scene.bad]
    async with scene.dendrite.fan_out(peers, Words(count=ENDLESS), barrier=True):
        pass


async def first(scene: Scene) -> None:
    peers = [scene.good, scene.bad, scene.dead, scene.good]
    assert await scene.dendrite.first(peers, Words(count=WHOLE))


KINDS: dict[str, Callable[[Scene], Awaitable[Any]]] = {
    "whole": lambda scene: scene.dendrite.call(scene.good, Words(count=WHOLE)),
    "unary": lambda scene: scene.dendrite.call(scene.good, Echo(text="x")),
    "failed first": lambda scene: scene.dendrite.call(scene.good, Words(count=FAIL_FIRST)),
    "failed midway": lambda scene: scene.dendrite.call(scene.good, Words(count=FAIL_MIDWAY)),
    "garbage": lambda scene: scene.dendrite.call(scene.bad, Words()),
    "unreachable": lambda scene: scene.dendrite.call(scene.dead, Words()),
    "refused": be_refused,
    "deadline": lambda scene: scene.dendrite.call(scene.good, Words(count=ENDLESS), timeout=0.05),
    "break": break_off,
    "aclose": close,
    "drop": drop,
    "cancel": cancel,
    "merge": merge,
    "merge and break": merge_break,
    "fan_out": fan_out,
    "first": first,
}


def count() -> Count:
    """Return how many files are open and how many tasks there are, but for those of no request.

    One may stand ready on a connection that has asked twice.
    """
    tasks = len(asyncio.all_tasks()) - len(standing_ready())
    return len(list(Path("/proc/self/fd").iterdir())), tasks


async def settled(axon: Axon) -> Count:
    """Return the count once no request runs and it has stood for a while."""
    seen: list[Count] = []
    for turn in range(500):
        if turn % 50 == 0:
            gc.collect()
        busy = axon._server is not None and axon._server._running
        seen = [] if busy else [*seen, count()]
        if len(seen) >= 5 and len(set(seen[-5:])) == 1:
            return seen[-1]
        await asyncio.sleep(0.004)
    raise AssertionError(f"it never came to rest: {seen[-5:]}")


async def run(mode: str, times: int = 5) -> dict[str, Any]:
    axon = Axon(BOB, ip="127.0.0.1", port=0, max_workers=100).attach(words).attach(echo)
    before = count()
    found: dict[str, Any] = {}
    server = await asyncio.start_server(answer_garbage, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    async with axon, Dendrite(ALICE, mode=mode) as dendrite:
        bad, dead = (Peer(hotkey=axon.hotkey, ip="127.0.0.1", port=one) for one in (port, 1))
        scene = Scene(dendrite, axon.info(), bad, dead)
        for kind, call in KINDS.items():
            await call(scene)
            once = await settled(axon)
            for _ in range(times - 1):
                await call(scene)
            found[kind] = (once, await settled(axon))
    server.close()
    await server.wait_closed()
    assert not standing_ready()
    return {"before": before, "kinds": found, "after": await settled(axon)}


async def main() -> None:
    logging.disable(logging.CRITICAL)
    await run("frames", times=1)  # what is loaded on first use opens files that stay
    print(json.dumps({mode: await run(mode) for mode in ("frames", "raw")}))


if __name__ == "__main__":
    asyncio.run(main())
