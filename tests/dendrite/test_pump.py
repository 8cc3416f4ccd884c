"""When a streamed request goes, and what that takes; tests/functional has the rest."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import Dendrite, Keypair, Peer, TextStream
from node.dendrite import pump as pump_module
from node.dendrite.intake import Intake
from node.dendrite.startline import StartLine
from node.streams import FrameDecoder, FrameKind, StreamMode, encode_frame
from tests.functional.synapses import until
from tests.raw_http import chunked, read_request, reply_head, scripted_peer

from .uncopied import WithUncopied


class Words(TextStream):
    """Any question."""


HEAD = reply_head("text/event-stream", "Transfer-Encoding: chunked")


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(HEAD + chunked(b"so ", b"it goes"))


@pytest.fixture
async def peer(alice: Keypair) -> AsyncIterator[Peer]:
    async with scripted_peer(answer, alice.ss58_address) as peer:
        yield peer


@pytest.fixture
async def dendrite(bob: Keypair) -> AsyncIterator[Dendrite]:
    async with Dendrite(bob, mode="raw") as dendrite:
        yield dendrite


async def test_on_a_kept_connection_a_request_goes_at_once_and_without_a_task(
    dendrite: Dendrite, peer: Peer
) -> None:
    assert (await dendrite.call(peer, Words())).completion == "so it goes"
    tasks = asyncio.all_tasks()
    stream = dendrite.stream(peer, Words())
    assert (await asyncio.wait_for(stream.final(), 5)).completion == "so it goes"
    first = dendrite.stream(peer, Words())
    assert first._stream.on_wire.is_set
    assert asyncio.all_tasks() <= tasks
    assert (await first.final()).is_success


async def test_without_one_a_task_waits_for_it(dendrite: Dendrite, peer: Peer) -> None:
    stream = dendrite.stream(peer, Words())
    assert not stream._stream.on_wire.is_set
    assert len(asyncio.all_tasks()) == 2
    assert (await stream.final()).is_success


async def test_a_request_that_can_not_be_made_fails_its_stream_and_nothing_else(
    dendrite: Dendrite, alice: Keypair
) -> None:
    nobody = Peer(hotkey=alice.ss58_address, ip="127.0.0.1", port=0)
    stream = await dendrite(nobody, Words())
    assert (await stream).dendrite.status_code == 503
    assert not dendrite._asker.open_streams


@pytest.mark.parametrize("barrier", [True, False])
async def test_the_last_request_does_not_wait_for_getting_ready_to_read_others(
    dendrite: Dendrite, peer: Peer, monkeypatch: pytest.MonkeyPatch, barrier: bool
) -> None:
    async with dendrite.fan_out([peer] * 3, Words()) as streams:  # connections are made and kept
        assert all([(await stream).is_success for stream in streams])
    gone: list[int] = []

    def count_and_make(*args: Any) -> Intake:
        gone.append(sum(pump.sent.is_set for pump in dendrite._asker._pumps))
        return Intake(*args)

    monkeypatch.setattr(pump_module, "Intake", count_and_make)
    async with (
        asyncio.timeout(20),
        dendrite.fan_out([peer] * 3, Words(), barrier=barrier) as streams,
    ):
        assert all([(await stream).is_success for stream in streams])
    assert gone == [3, 3, 3]


async def test_a_connection_that_breaks_as_all_go_fails_its_stream_at_once(
    alice: Keypair, bob: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    unused, withdraw = [near for near, _ in pairs], StartLine.withdraw

    def let_go_and_break(line: StartLine) -> None:
        withdraw(line)
        if line._go.is_set():
            for _, far in pairs:
                far.close()

    async def dial(host: str, port: int) -> socket.socket:
        sock = unused.pop()
        sock.setblocking(False)
        return sock

    monkeypatch.setattr(StartLine, "withdraw", let_go_and_break)
    peers = [Peer(hotkey=alice.ss58_address, ip="127.0.0.1", port=port) for port in (1, 2)]
    async with asyncio.timeout(20), Dendrite(bob, dial=dial) as dendrite:
        streams = await dendrite(peers, Words(), timeout=60, barrier=True)
        assert [(await stream).dendrite.status_code for stream in streams] == [503, 503]
        assert all(stream.timing.sent_s is not None for stream in streams)


@pytest.mark.parametrize("left", [0, 1, 2])
async def test_a_stream_that_is_closed_as_all_go_keeps_no_connection(
    dendrite: Dendrite, peer: Peer, left: int
) -> None:
    streams = await dendrite([peer] * 3, Words(), barrier=True)
    assert len(dendrite._session._open) == 3
    await streams.pop(left).aclose()
    assert len(dendrite._session._open) == 2
    assert all([(await stream).is_success for stream in streams])


async def test_a_stream_that_is_dropped_closes_its_connection(
    dendrite: Dendrite, alice: Keypair
) -> None:
    left = asyncio.Event()

    async def never_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD)
        try:
            await reader.read()
        finally:
            left.set()  # it may be told by an error

    async with scripted_peer(never_end, alice.ss58_address) as peer:
        stream = await dendrite(peer, Words())
        del stream
        await asyncio.to_thread(gc.collect)  # a finaliser may run in any thread
        await asyncio.wait_for(left.wait(), 5)
        assert not dendrite._asker.open_streams


async def test_closing_waits_until_the_connection_is_closed(dendrite: Dendrite, peer: Peer) -> None:
    await dendrite.call(peer, Words())
    stream = await dendrite(peer, Words())
    assert dendrite._asker.open_streams
    (connection,) = dendrite._session._open
    await stream.aclose()
    assert connection.transport is None
    assert not dendrite._session._open


async def test_what_comes_after_the_end_is_not_taken(dendrite: Dendrite, alice: Keypair) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + chunked(*[b"x" * 16_384] * 64))
        await reader.read()

    async with scripted_peer(flood, alice.ss58_address) as peer:
        stream = await dendrite(peer, Words())
        pump = stream._pump
        async with asyncio.timeout(5):
            while not pump._full:
                await asyncio.sleep(0.001)
        await stream.aclose()
        came = stream.timing.chunks
        while pump.ready():
            pass
        assert stream.timing.chunks == came


class Ask(TextStream):
    """A question with words."""

    text: str = ""


@pytest.mark.parametrize("limits", [{}, {"at_once": 1}])
async def test_streams_that_are_asked_for_in_a_row_ask_each_what_was_said_then(
    alice: Keypair, bob: Keypair, limits: dict[str, Any]
) -> None:
    came: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            came.append((await read_request(reader))[1])
            writer.write(HEAD + chunked(b"so it goes"))

    async with (
        scripted_peer(answer, alice.ss58_address) as peer,
        Dendrite(bob, mode="raw", **limits) as dendrite,
    ):
        synapse, streams = Ask(), []
        for word in ("one", "two", "three"):
            synapse.text = word
            streams.append(dendrite.stream(peer, synapse))
        finals = [await stream.final() for stream in streams]
    assert [final.text for final in finals] == ["one", "two", "three"]
    assert sorted(json.loads(body)["text"] for body in came) == ["one", "three", "two"]


class Odd(TextStream, WithUncopied):
    """A question that can be sent and not copied."""


@pytest.mark.parametrize("peers", [1, 3])
async def test_a_question_that_can_not_be_copied_leaves_nothing_open(
    dendrite: Dendrite, alice: Keypair, peers: int
) -> None:
    async def answer_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + chunked(b"so it goes"))
        await reader.read()

    async with scripted_peer(answer_first, alice.ss58_address) as peer:
        for _ in range(2):  # on a connection that was kept, and on a new one
            await dendrite.call(peer, Words())
            with pytest.raises(ValueError, match="not to be copied"):
                await dendrite([peer] * peers, Odd())
            await until(lambda: not dendrite._asker.open_streams)
        with pytest.raises(ValueError, match="not to be copied"):
            await dendrite.call(peer, Odd())
        await until(lambda: not dendrite._asker.open_streams)


PART = encode_frame(FrameKind.CHUNK, b"x" * 2**20)[:-1]
ERROR = encode_frame(FrameKind.ERROR, b'{"status":500}')


@pytest.mark.parametrize(
    ("sent", "ends"),
    [(PART, True), (PART, False), (b"\xff" * 32, True), (ERROR + PART, True)],
    ids=["broken off", "cut", "no frame", "an error"],
)
async def test_a_stream_that_failed_keeps_nothing_of_what_it_did_not_use(
    bob: Keypair, alice: Keypair, sent: bytes, ends: bool
) -> None:
    head = reply_head(StreamMode.FRAMES.content_type, "Transfer-Encoding: chunked")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head + chunked(sent, end=ends))

    gc.collect()
    async with Dendrite(bob) as dendrite, scripted_peer(answer, alice.ss58_address) as peer:
        stream = await dendrite(peer, Words())
        assert (await stream).is_failure
        assert not [found for found in gc.get_objects() if isinstance(found, FrameDecoder)]
    assert stream.done
