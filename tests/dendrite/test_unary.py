"""Reading a reply that comes in one piece, and what the call's clock is told meanwhile."""

from __future__ import annotations

import asyncio

import aiohttp

from node import Deadlines, Keypair, Peer
from node.dendrite.connection import Connection
from node.dendrite.deadlines import PhaseClock
from node.dendrite.http_reply import HttpReply
from node.dendrite.session import CallTrace
from node.dendrite.timing import StreamTiming
from node.dendrite.unary import read_reply

JSON = {"Content-Type": "application/json"}


class Noted(PhaseClock):
    """Notes the phases it is told of."""

    def __init__(self) -> None:
        super().__init__(Deadlines())
        self.entered: list[str] = []

    def enter(self, phase: str) -> None:
        self.entered.append(phase)


async def test_idle_begins_with_the_first_byte_and_anew_after_each_read(alice: Keypair) -> None:
    loop = asyncio.get_running_loop()
    connection = Connection(loop)
    connection.connection_made(asyncio.Transport())
    content = aiohttp.StreamReader(connection, 2**16, loop=loop)
    reply = HttpReply(200, JSON, content, connection, lambda _: None)
    clock = Noted()
    reading = asyncio.create_task(
        read_reply(
            reply,
            Peer(hotkey=alice.ss58_address, ip="127.0.0.1", port=1),
            100,
            CallTrace(clock, StreamTiming()),
        )
    )
    entered = []
    for piece in (b"{", b" ", b"}"):
        for _ in range(3):
            await asyncio.sleep(0)
        entered.append(len(clock.entered))
        content.feed_data(piece)
    content.feed_eof()
    assert await reading == (b"{ }", None)
    assert entered == [0, 1, 2]
    assert clock.entered == ["idle", "idle"]
