"""Reading a reply that comes in one piece, and what the call's clock is told meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from node import Deadlines, Dendrite, Keypair, Peer, Synapse
from node.dendrite.connection import Connection
from node.dendrite.deadlines import PhaseClock
from node.dendrite.http_reply import HttpReply
from node.dendrite.session import CallTrace
from node.dendrite.timing import StreamTiming
from node.dendrite.unary import read_reply
from tests.raw_http import read_request, reply_head, scripted_peer

from .uncopied import WithUncopied

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
    connection = Connection(loop, bytearray(2**16))
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


ANSWERED = reply_head("application/json", "Content-Length: 14") + b'{"answer":"a"}'


class Odd(Synapse, WithUncopied):
    """A question that can be sent and not copied."""


class Echo(Synapse):
    """A question."""

    text: str = ""
    answer: str = ""


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await read_request(reader):
        writer.write(ANSWERED)


async def test_a_question_that_can_not_be_copied_leaves_nothing_open(
    alice: Keypair, bob: Keypair
) -> None:
    async with scripted_peer(answer_all, bob.ss58_address) as peer, Dendrite(alice) as dendrite:
        for kept in (0, 1):  # on a new connection, and on one that was kept
            assert len(dendrite._session._open) == kept
            with pytest.raises(ValueError, match="not to be copied"):
                await dendrite(peer, Odd())
            assert not dendrite._session._open
            assert (await dendrite(peer, Echo())).answer == "a"


@pytest.mark.parametrize(
    "options", [{}, {"at_once": 1}, {"protocols": ("btauth", "synapse")}], ids=repr
)
async def test_what_a_caller_does_to_its_synapse_meanwhile_is_not_in_the_call(
    alice: Keypair, bob: Keypair, options: dict[str, Any]
) -> None:
    synapse = Echo(text="as it was asked")
    came: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = (await read_request(reader))[1]
            came.extend([body] if body else [])  # what a peer speaks is asked without one
            writer.write(ANSWERED)

    async with (
        scripted_peer(answer, bob.ss58_address) as peer,
        Dendrite(alice, **options) as dendrite,
    ):
        for _ in range(2):  # on a new connection, and on one that was kept
            calls = [asyncio.create_task(dendrite(peer, synapse)) for _ in range(3)]
            await asyncio.sleep(0)
            synapse.text = "changed"
            replies = await asyncio.gather(*calls)
            assert [reply.text for reply in replies] == ["as it was asked"] * 3
            synapse.text = "as it was asked"
    assert len(came) == 6
    assert all(b"as it was asked" in body for body in came)
