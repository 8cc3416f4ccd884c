"""Three ways for a stream to travel; the hooks of a synapse can't tell which it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from node import Axon, Dendrite, Keypair, StreamingSynapse, TypedStream
from node.errors import ConfigError
from node.streams import ReplyStream, StreamMode
from tests.raw_http import RawConnection, RawReply, ask, signed_request

from .synapses import Words

PIECES = [
    b"one",
    b" ",
    b"\n",
    b"data: x\n\n",
    b"\xc3",
    b"\xa9",
    b"\xff\x00",
    b"\x13\0\0\0\0",
    b"end",
]
ALL_MODES = pytest.mark.parametrize("mode", StreamMode)


class Recorded(StreamingSynapse):
    """Hooks as a subnet writes them; what they see is noted."""

    seen: ClassVar[list[bytes]] = []
    arrived: ClassVar[asyncio.Event]
    statuses: ClassVar[list[tuple[int, str]]] = []

    size: int = 0

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[bytes]:
        self.statuses.append((response.status, response.content_type))
        async for chunk in response.content.iter_any():
            self.seen.append(chunk)
            self.arrived.set()
            yield chunk

    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        assert response.content.at_eof()
        return {"size": sum(map(len, self.seen))}


@pytest.fixture
async def recorded(axon: Axon) -> AsyncIterator[Axon]:
    """An axon that sends each piece once the one before has reached the hook."""
    Recorded.seen, Recorded.statuses = [], []
    Recorded.arrived = asyncio.Event()

    async def forward(synapse: Recorded) -> AsyncIterator[bytes]:
        for piece in PIECES:
            Recorded.arrived.clear()
            yield piece
            await Recorded.arrived.wait()

    axon.attach(forward)
    async with axon:
        yield axon


@ALL_MODES
async def test_the_hooks_see_the_same_pieces_in_every_mode(
    recorded: Axon, alice: Keypair, mode: StreamMode
) -> None:
    async with Dendrite(alice, mode=mode) as dendrite:
        stream = await dendrite(recorded.info(), Recorded())
        *chunks, final = [item async for item in stream]
    assert chunks == Recorded.seen == PIECES
    assert (final.is_success, final.size) == (True, len(b"".join(PIECES)))
    assert Recorded.statuses == [(200, mode.content_type)]
    assert stream.timing.chunks == len(PIECES)
    assert stream.timing.bytes == final.size


async def words(synapse: Words) -> AsyncIterator[str]:
    for number in range(synapse.count):
        yield f"{number} é "


@ALL_MODES
async def test_the_mode_may_be_given_as_text(axon: Axon, alice: Keypair, mode: StreamMode) -> None:
    axon.attach(words)
    async with axon, Dendrite(alice, mode=str(mode)) as dendrite:
        assert (await dendrite.call(axon.info(), Words())).completion == "0 é 1 é 2 é "


@pytest.mark.parametrize("mode", ["", "FRAMES", "json", "morse"])
def test_a_mode_that_is_none_is_refused(alice: Keypair, mode: str) -> None:
    with pytest.raises(ConfigError, match="frames, sse, raw"):
        Dendrite(alice, mode=mode)


async def test_every_request_chooses_for_itself(axon: Axon, alice: Keypair) -> None:
    axon.attach(words)
    async with (
        axon,
        Dendrite(alice, mode="sse") as sse,
        Dendrite(alice, mode="raw") as raw,
        Dendrite(alice) as frames,
    ):
        streams = [await one(axon.info(), Words()) for one in (sse, raw, frames)]
        finals = [await stream for stream in streams]
    assert {final.completion for final in finals} == {"0 é 1 é 2 é "}
    assert [final.receipt is None for final in finals] == [False, True, False]


async def reply_in(axon: Axon, keypair: Keypair, mode: str) -> RawReply:
    request = signed_request(keypair, axon.hotkey, f"/Words?stream={mode}", b'{"count": 2}')
    return await ask(axon.port, request)


@ALL_MODES
async def test_a_reply_says_what_it_is_and_must_not_be_gathered(
    axon: Axon, alice: Keypair, mode: StreamMode
) -> None:
    axon.attach(words)
    async with axon:
        reply = await reply_in(axon, alice, mode)
    assert (reply.status, reply.complete) == (200, True)
    assert reply.header("Content-Type") == mode.content_type
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("X-Accel-Buffering") == "no"
    assert reply.header("Content-Encoding") is None


async def test_sse_is_lines_of_text_that_a_person_can_read(axon: Axon, alice: Keypair) -> None:
    axon.attach(words)
    async with axon:
        text = (await reply_in(axon, alice, "sse")).body.decode()
    assert text.startswith(
        'event: chunk\nid: 1\ndata: "0 é "\n\nevent: chunk\nid: 2\ndata: "1 é "\n\n'
        "event: end\nid: 3\ndata: {"
    )
    end = json.loads(text.splitlines()[-2].removeprefix("data: "))
    assert end.keys() == {"chunks", "sha256", "receipt"}
    assert end["chunks"] == 2


class Item(BaseModel):
    text: str


class Footer(BaseModel):
    count: int


class Items(TypedStream[Item, None, Footer]):
    pass


async def test_sse_of_a_typed_stream_has_plain_json_items(axon: Axon, alice: Keypair) -> None:
    async def forward(synapse: Items) -> AsyncIterator[BaseModel]:
        yield Item(text="é")
        yield Footer(count=1)

    axon.attach(forward)
    async with axon:
        request = signed_request(alice, axon.hotkey, "/Items?stream=sse", b"{}")
        text = (await ask(axon.port, request)).body.decode()
    assert text.startswith(
        'event: item\nid: 1\ndata: {"text":"é"}\n\nevent: footer\nid: 2\ndata: {"count":1}\n\n'
    )


@pytest.mark.parametrize("heartbeat_s", [10.0, 0.04])
async def test_every_event_is_there_before_the_next_is_made(
    bob: Keypair, alice: Keypair, heartbeat_s: float
) -> None:
    """What `curl -N` prints: each line comes while the forward still waits to go on."""
    seen, made = asyncio.Event(), []

    async def forward(synapse: Words) -> AsyncIterator[str]:
        for number in range(5):
            seen.clear()
            made.append(number)
            yield f"word {number}"
            await seen.wait()

    axon = Axon(bob, ip="127.0.0.1", port=0, heartbeat_s=heartbeat_s).attach(forward)
    async with axon, await RawConnection.open(axon.port) as connection, asyncio.timeout(10):
        request = signed_request(alice, axon.hotkey, "/Words?stream=sse", b"{}")
        await connection.send(request.encode())
        assert b"chunked" in await connection.reader.readuntil(b"\r\n\r\n")
        for number in range(5):
            event = await next_event(connection)
            assert event == ["event: chunk", f"id: {number + 1}", f'data: "word {number}"']
            assert made == list(range(number + 1))
            if heartbeat_s < 1:
                assert await next_block(connection) == [": heartbeat"]
            seen.set()
        assert (await next_event(connection))[:2] == ["event: end", "id: 6"]


async def next_event(connection: RawConnection) -> list[str]:
    """Return the lines of the next event that is no heartbeat."""
    while (lines := await next_block(connection)) == [": heartbeat"]:
        pass
    return lines


async def next_block(connection: RawConnection) -> list[str]:
    """Return lines up to an empty one."""
    lines: list[str] = []
    while line := await next_line(connection):
        lines.append(line)
    return lines


async def next_line(connection: RawConnection) -> str:
    """Return the next line of the body; an axon sends each event as one HTTP chunk."""
    while True:
        line = (await connection.reader.readline()).decode()
        if line.endswith("\r\n"):
            continue  # a chunk's size, or the end of a chunk
        return line.removesuffix("\n")
