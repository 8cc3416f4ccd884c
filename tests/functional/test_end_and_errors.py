"""The end of a stream is proved, its failure is typed, and heartbeats tell slow from dead."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair
from node.errors import (
    BadReceipt,
    BadReply,
    CallError,
    PeerRefused,
    PeerTimeout,
    StreamInterrupted,
    WireError,
)
from node.streams import FrameKind, StreamMode, decoder_for
from tests.raw_http import Script, ask, chunked, read_request, scripted_peer, signed_request

from .stream_bytes import NATIVE, StreamBytes, chunked_reply, end_payload, sends, sized_reply
from .synapses import Words, until

MODES = pytest.mark.parametrize("mode", NATIVE)
HOTKEY = Keypair.from_uri("//Mallory").ss58_address


async def result(
    script: Script, keypair: Keypair, mode: StreamMode, timeout: float | None = 5, **options: Any
) -> tuple[list[str], CallError | None]:
    """Return the chunks from a scripted peer, and the error that ended them."""
    async with (
        scripted_peer(script, HOTKEY) as peer,
        Dendrite(keypair, mode=mode, **options) as dendrite,
    ):
        got: list[str] = []
        stream = await dendrite.stream(peer, Words(), timeout=timeout, raise_errors=True)
        try:
            async for chunk in stream.chunks():
                got.append(chunk)
        except CallError as error:
            failure = error
        else:
            return got, None
    assert failure.peer == str(peer)
    assert str(failure).startswith(str(peer))
    return got, failure


# The end, and every place before it.


def prefixes(mode: StreamMode) -> tuple[bytes, list[int]]:
    """Return a whole stream, and how many chunks are whole at every length of it."""
    maker, chunks = StreamBytes(mode), [b"one ", "zwei é ".encode(), b"\n"]
    pieces = [maker.chunk(chunks[0]), maker.beat(), *map(maker.chunk, chunks[1:])]
    whole = b"".join(pieces) + maker.end(*chunks)
    borders = [len(b"".join(pieces[:count])) for count in (1, 3, 4)]
    return whole, [sum(border <= length for border in borders) for length in range(len(whole) + 1)]


@MODES
@pytest.mark.parametrize("ending", ["as HTTP says", "by a cut"])
async def test_a_reply_that_ends_at_any_byte_but_its_last_is_incomplete(
    alice: Keypair, mode: StreamMode, ending: str
) -> None:
    whole, counts = prefixes(mode)
    texts = ["", "one ", "one zwei é ", "one zwei é \n"]
    length = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        said = length if ending == "as HTTP says" else len(whole)
        writer.write(sized_reply(mode, whole[:length], said))
        await writer.drain()

    async with (
        scripted_peer(script, HOTKEY) as peer,
        Dendrite(alice, mode=mode, dormancy=False) as dendrite,
    ):
        for length in range(len(whole)):
            stream = await dendrite(peer, Words(), timeout=5)
            *chunks, final = [item async for item in stream]
            assert final.dendrite.status_code == 503, length
            assert not final.is_success
            assert "".join(chunks) == final.completion == texts[counts[length]], length
            assert stream.receipt is None
            assert stream.timing.chunks == counts[length]
        length = len(whole)
        final = await dendrite.call(peer, Words(), timeout=5)
    assert (final.completion, final.is_success) == (texts[-1], True)


@MODES
async def test_an_interrupted_stream_says_how_much_had_come(
    alice: Keypair, mode: StreamMode
) -> None:
    maker = StreamBytes(mode)
    data = maker.chunk(b"a") + maker.chunk(b"b")
    got, error = await result(sends(sized_reply(mode, data)), alice, mode)
    assert got == ["a", "b"]
    assert isinstance(error, StreamInterrupted)
    assert error.chunks == 2


ENDS: dict[str, tuple[dict[str, Any], type[CallError]]] = {
    "too many": ({"chunks": 3}, BadReceipt),
    "too few": ({"chunks": 1}, BadReceipt),
    "minus two": ({"chunks": -2}, BadReceipt),
    "a count of text": ({"chunks": "2"}, BadReceipt),
    "a count of true": ({"chunks": True}, BadReceipt),
    "a count of a list": ({"chunks": [2]}, BadReceipt),
    "another digest": ({"sha256": "0" * 64}, BadReceipt),
    "an empty digest": ({"sha256": ""}, BadReceipt),
    "a digest in capitals": ({"sha256": end_payload([b"a", b"b"]).decode().upper()[26:-2]},
                             BadReceipt),
    "no count": ({"chunks": None}, BadReply),
    "no digest": ({"sha256": None}, BadReply),
    "a receipt of nothing": ({"receipt": {}}, BadReceipt),
    "a receipt of text": ({"receipt": "signed"}, BadReceipt),
    "a receipt of false": ({"receipt": False}, BadReceipt),
}  # fmt: skip


@MODES
@pytest.mark.parametrize("kind", ENDS)
async def test_an_end_that_does_not_match_is_no_success(
    alice: Keypair, mode: StreamMode, kind: str
) -> None:
    changes, expected = ENDS[kind]
    maker = StreamBytes(mode)
    data = maker.chunk(b"a") + maker.chunk(b"b") + maker.end(b"a", b"b", **changes)
    got, error = await result(sends(chunked_reply(mode, data)), alice, mode)
    assert got == ["a", "b"]
    assert type(error) is expected


@MODES
@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"5", b"{", b"end", b"\xff"])
async def test_an_end_that_is_no_document_is_a_bad_reply(
    alice: Keypair, mode: StreamMode, payload: bytes
) -> None:
    maker = StreamBytes(mode)
    data = maker.chunk(b"a") + maker.frame(FrameKind.END, payload)
    got, error = await result(sends(chunked_reply(mode, data)), alice, mode)
    assert (got, type(error)) == (["a"], BadReply)


@MODES
@pytest.mark.parametrize("more", ["END", "ERROR", "chunk", "heartbeat", "one byte"])
@pytest.mark.parametrize("pause_s", [0.0, 0.1], ids=["at once", "later"])
async def test_nothing_may_follow_an_end(
    alice: Keypair, mode: StreamMode, more: str, pause_s: float
) -> None:
    maker = StreamBytes(mode)
    whole = maker.whole(b"a")
    follows = {
        "END": maker.end(b"a"),
        "ERROR": maker.frame(FrameKind.ERROR, b"{}"),
        "chunk": maker.chunk(b"b"),
        "heartbeat": maker.beat(),
        "one byte": b"x",
    }[more]
    length = len(whole + follows)
    script = sends(sized_reply(mode, whole, length), follows, pause_s=pause_s)
    got, error = await result(script, alice, mode)
    assert (got, type(error)) == (["a"], BadReply)


# Failures of the forward.


class Busy(WireError):
    status = 503
    code = "busy"
    text = "The model is busy."


async def failing(synapse: Words) -> AsyncIterator[str]:
    yield "first "
    if synapse.count == 503:
        raise Busy("private words", retry_after=7)
    raise ValueError("private words of /home/miner")


@MODES
async def test_a_failure_midway_is_a_typed_frame_with_a_code_and_an_id(
    axon: Axon, alice: Keypair, mode: StreamMode, caplog: pytest.LogCaptureFixture
) -> None:
    axon.attach(failing)
    target = f"/Words?stream={mode}"
    with caplog.at_level(logging.ERROR, "node"):
        async with axon:
            reply = await ask(axon.port, signed_request(alice, axon.hotkey, target, b"{}"))
    assert (reply.status, reply.complete) == (200, True)
    chunk, last = decoder_for(mode, max_frame_bytes=1000).feed(reply.body)
    assert (chunk.payload, last.kind) == (b"first ", FrameKind.ERROR)
    document = json.loads(last.payload)
    assert document.keys() == {"status", "code", "message", "error_id"}
    assert (document["status"], document["code"]) == (500, "forward_failed")
    assert re.fullmatch("[0-9a-f]{16}", document["error_id"])
    for private in (b"private", b"/home", b"ValueError", b"Traceback"):
        assert private not in reply.body
    assert document["error_id"] in caplog.text
    assert "private words of /home/miner" in caplog.text


@MODES
async def test_the_caller_gets_the_code_and_the_id(
    axon: Axon, alice: Keypair, mode: StreamMode, caplog: pytest.LogCaptureFixture
) -> None:
    axon.attach(failing)
    async with axon, Dendrite(alice, mode=mode) as dendrite:
        stream = await dendrite.stream(axon.info(), Words(), raise_errors=True)
        got: list[str] = []
        with pytest.raises(PeerRefused) as caught:
            async for chunk in stream.chunks():
                got.append(chunk)
        final = await dendrite.call(axon.info(), Words())
    assert got == ["first "]
    error = caught.value
    assert (error.status, error.code, error.retry_safe) == (500, "forward_failed", False)
    assert error.peer == str(axon.info())
    found = re.search(r"Error id: ([0-9a-f]{16})", error.detail)
    assert found
    assert found.group(1) in caplog.text
    assert "private" not in str(error)
    assert (final.completion, final.dendrite.status_code) == ("first ", 500)
    assert "Error id" in final.dendrite.status_message


@MODES
async def test_an_error_that_a_forward_means_for_its_caller_arrives(
    axon: Axon, alice: Keypair, mode: StreamMode
) -> None:
    axon.attach(failing)
    async with axon, Dendrite(alice, mode=mode) as dendrite:
        with pytest.raises(PeerRefused) as caught:
            await dendrite.call(axon.info(), Words(count=503), raise_errors=True)
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (503, "busy", 7)
    assert error.detail == "The model is busy."


async def test_in_raw_mode_a_failure_midway_cuts_the_connection(axon: Axon, alice: Keypair) -> None:
    axon.attach(failing)
    async with axon, Dendrite(alice, mode="raw") as dendrite:
        reply = await ask(axon.port, signed_request(alice, axon.hotkey, "/Words", b"{}"))
        final = await dendrite.call(axon.info(), Words())
    assert (reply.body, reply.complete) == (b"first ", False)
    assert (final.completion, final.dendrite.status_code) == ("first ", 503)


@MODES
async def test_a_failure_before_the_first_chunk_is_an_error_reply(
    axon: Axon, alice: Keypair, mode: StreamMode
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        if synapse.count:
            raise ValueError("private words")
        yield ""

    axon.attach(forward)
    async with axon:
        target = f"/Words?stream={mode}"
        reply = await ask(axon.port, signed_request(alice, axon.hotkey, target, b"{}"))
    assert (reply.status, reply.json()["code"]) == (500, "forward_failed")
    assert b"private" not in reply.body


# Heartbeats.


@pytest.mark.parametrize("mode", ["frames", "sse"])
async def test_heartbeats_keep_a_slow_miner_alive(
    bob: Keypair, alice: Keypair, skip_ahead: Callable[[float], None], mode: str
) -> None:
    go, started = asyncio.Event(), asyncio.Event()

    async def forward(synapse: Words) -> AsyncIterator[str]:
        yield "first "
        started.set()
        await go.wait()
        yield "slow "

    axon = Axon(bob, ip="127.0.0.1", port=0, heartbeat_s=0.05).attach(forward)
    async with axon, Dendrite(alice, mode=mode, idle=60) as dendrite:
        stream = await dendrite(axon.info(), Words(), timeout=None)
        await started.wait()
        for _ in range(5):
            skip_ahead(20.0)
            await asyncio.sleep(0.1)  # for a heartbeat, and no harm when it is too short for one
        go.set()
        final = await stream
    assert final.is_success, final.dendrite.status_message
    assert final.completion.endswith("slow ")


async def test_without_heartbeats_the_same_miner_is_taken_for_dead(
    bob: Keypair, alice: Keypair
) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        yield "first "
        await asyncio.sleep(3600)
        yield "slow "

    axon = Axon(bob, ip="127.0.0.1", port=0, heartbeat_s=3600.0).attach(forward)
    async with axon, Dendrite(alice, idle=0.4) as dendrite:
        with pytest.raises(PeerTimeout) as caught:
            await dendrite.call(axon.info(), Words(), timeout=60, raise_errors=True)
    assert caught.value.phase == "idle"


@MODES
async def test_a_silent_peer_times_out_idle(alice: Keypair, mode: StreamMode) -> None:
    maker = StreamBytes(mode)
    data = chunked_reply(mode, maker.chunk(b"a"), maker.beat(), end=False)
    began = time.perf_counter()
    got, error = await result(sends(data, hold=True), alice, mode, timeout=50, idle=0.2)
    assert 0.2 <= time.perf_counter() - began < 20
    assert got == ["a"]
    assert isinstance(error, PeerTimeout)
    assert error.phase == "idle"


@MODES
async def test_a_failure_after_a_heartbeat_is_told_in_the_stream(
    bob: Keypair, alice: Keypair, mode: StreamMode, caplog: pytest.LogCaptureFixture
) -> None:
    """The heartbeat took the status line along, so the error can't be a status any more."""

    async def forward(synapse: Words) -> AsyncIterator[str]:
        await asyncio.sleep(0.3)
        if synapse.count:
            raise ValueError("private words")
        yield ""

    axon = Axon(bob, ip="127.0.0.1", port=0, heartbeat_s=0.05).attach(forward)
    async with axon:
        target = f"/Words?stream={mode}"
        reply = await ask(axon.port, signed_request(alice, axon.hotkey, target, b"{}"))
        async with Dendrite(alice, mode=mode) as dendrite:
            final = await dendrite.call(axon.info(), Words())
    *beats, last = decoder_for(mode, max_frame_bytes=1000).feed(reply.body)
    assert {beat.kind for beat in beats} == {FrameKind.HEARTBEAT}
    assert last.kind is FrameKind.ERROR
    assert (reply.status, reply.complete) == (200, True)
    assert final.dendrite.status_code == 500


async def test_raw_mode_has_no_heartbeats(bob: Keypair, alice: Keypair) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        await asyncio.sleep(0.3)
        yield "a"
        await asyncio.sleep(0.3)
        yield "b"

    axon = Axon(bob, ip="127.0.0.1", port=0, heartbeat_s=0.05).attach(forward)
    async with axon:
        reply = await ask(axon.port, signed_request(alice, axon.hotkey, "/Words", b"{}"))
    assert (reply.body, reply.complete) == (b"ab", True)


async def test_a_busy_stream_has_no_heartbeats(bob: Keypair, alice: Keypair) -> None:
    async def forward(synapse: Words) -> AsyncIterator[str]:
        for _ in range(20):
            yield "x"
            await asyncio.sleep(0.02)

    axon = Axon(bob, ip="127.0.0.1", port=0, heartbeat_s=5).attach(forward)
    async with axon:
        target = "/Words?stream=frames"
        reply = await ask(axon.port, signed_request(alice, axon.hotkey, target, b"{}"))
    frames = list(decoder_for(StreamMode.FRAMES, max_frame_bytes=1000).feed(reply.body))
    assert [frame.kind for frame in frames] == [FrameKind.CHUNK] * 20 + [FrameKind.END]


@MODES
async def test_endless_heartbeats_end_in_one_typed_error(alice: Keypair, mode: StreamMode) -> None:
    maker, left = StreamBytes(mode), []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(chunked_reply(mode, maker.chunk(b"a"), end=False))
        try:
            while True:
                writer.write(chunked(maker.beat() * 50, end=False))
                await writer.drain()
        except ConnectionError:
            left.append(True)

    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice, mode=mode) as dendrite:
        async with asyncio.timeout(5):
            stream = await dendrite.stream(peer, Words(), timeout=None, raise_errors=True)
            with pytest.raises(BadReply, match="heartbeats") as caught:
                await stream
        assert stream.synapse.completion == "a"  # type: ignore[attr-defined]
        assert caught.value.peer == str(peer)
        await until(lambda: left)


async def test_a_heartbeat_carries_nothing(alice: Keypair) -> None:
    """Bytes that no chunk, digest or receipt counts would be a stream beside the stream."""
    maker, mode = StreamBytes(StreamMode.FRAMES), StreamMode.FRAMES
    data = maker.chunk(b"a") + maker.frame(FrameKind.HEARTBEAT, b"smuggled") + maker.end(b"a")
    got, error = await result(sends(chunked_reply(mode, data)), alice, mode)
    assert (got, type(error)) == (["a"], BadReply)
