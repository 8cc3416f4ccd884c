"""Peers that answer anything but a reply: each is a failure of its own call and nothing else."""

from __future__ import annotations

import asyncio
import gc
import json
import struct
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Peer
from node.errors import CallError
from node.wire import ReplyDigest
from tests.functional.synapses import Echo, Words, until
from tests.raw_http import Script, read_request, reply_head, scripted_peer

FRAMES = "application/x-ganglion-frames"
CHUNK, HEARTBEAT, ERROR, END = 16, 17, 18, 19
HOTKEY = Keypair.from_uri("//Mallory").ss58_address


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BI", kind, len(payload)) + payload


def end_of(*chunks: bytes, **changes: Any) -> bytes:
    digest = ReplyDigest()
    for chunk in chunks:
        digest.add(chunk)
    document = {"chunks": len(chunks), "sha256": digest.hexdigest(), **changes}
    return frame(END, json.dumps(document).encode())


def streamed(*frames: bytes) -> bytes:
    """Return a whole reply in frames mode, with a right HTTP ending."""
    body = b"".join(frames)
    return reply_head(FRAMES, f"Content-Length: {len(body)}") + body


def documented(body: bytes, content_type: str = "application/json", *lines: str) -> bytes:
    return reply_head(content_type, f"Content-Length: {len(body)}", *lines) + body


def sends(*pieces: bytes, hold: bool = False) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if hold:
            await asyncio.sleep(60)

    return script


async def stream_from(
    script: Script, keypair: Keypair, timeout: float = 3, **options: Any
) -> tuple[list[Any], Words]:
    """Return what a stream yields from a scripted peer."""
    async with scripted_peer(script, HOTKEY) as peer, Dendrite(keypair, **options) as dendrite:
        stream = await dendrite(peer, Words(), timeout=timeout)
        *chunks, final = [item async for item in stream]
        assert await stream is final
    assert isinstance(final, Words)
    return chunks, final


async def test_the_frames_of_this_test_are_those_that_are_taken(alice: Keypair) -> None:
    whole = streamed(frame(CHUNK, b"a"), frame(HEARTBEAT, b""), frame(CHUNK, b"b"),
                     end_of(b"a", b"b"))  # fmt: skip
    chunks, final = await stream_from(sends(whole), alice)
    assert (chunks, final.completion, final.is_success) == (["a", "b"], "ab", True)


DEEP = b"[" * 20_000
BAD_STREAMS: dict[str, bytes] = {
    "no END": streamed(frame(CHUNK, b"a")),
    "nothing": streamed(),
    "an unknown kind": streamed(frame(CHUNK, b"a"), frame(99, b"x"), end_of(b"a")),
    "kind 0": streamed(frame(CHUNK, b"a"), frame(0, b"")),
    "a typed stream's kind": streamed(frame(CHUNK, b"a"), frame(3, b"{}"), end_of(b"a")),
    "a giant length": streamed(frame(CHUNK, b"a"), struct.pack(">BI", CHUNK, 2**32 - 1)),
    "a length just over": streamed(frame(CHUNK, b"a"), struct.pack(">BI", CHUNK, 16 * 2**20 + 1)),
    "END of too many": streamed(frame(CHUNK, b"a"), end_of(b"a", chunks=2)),
    "END of too few": streamed(frame(CHUNK, b"a"), end_of(b"a", chunks=0)),
    "END of another digest": streamed(frame(CHUNK, b"a"), end_of(b"b")),
    "END without a digest": streamed(frame(CHUNK, b"a"), frame(END, b'{"chunks": 1}')),
    "END without a count": streamed(frame(CHUNK, b"a"), frame(END, b'{"sha256": ""}')),
    "END of no JSON": streamed(frame(CHUNK, b"a"), frame(END, b"end")),
    "END of nothing": streamed(frame(CHUNK, b"a"), frame(END, b"")),
    "END of a list": streamed(frame(CHUNK, b"a"), frame(END, b"[1]")),
    "END of null": streamed(frame(CHUNK, b"a"), frame(END, b"null")),
    "END so deep": streamed(frame(CHUNK, b"a"), frame(END, DEEP)),
    "END in UTF-16": streamed(frame(CHUNK, b"a"), frame(END, b"\xff\xfe\x00")),
    "END with a number's name": streamed(frame(CHUNK, b"a"), end_of(b"a", sha256=1e999)),
    "END with a bad receipt": streamed(frame(CHUNK, b"a"), end_of(b"a", receipt={"axon": 5})),
    "END with a receipt of text": streamed(frame(CHUNK, b"a"), end_of(b"a", receipt="yes")),
    "chunks swapped": streamed(frame(CHUNK, b"b"), frame(CHUNK, b"a"), end_of(b"a", b"b")),
    "a chunk after END": streamed(frame(CHUNK, b"a"), end_of(b"a"), frame(CHUNK, b"b")),
    "bytes after END": streamed(frame(CHUNK, b"a"), end_of(b"a"), b"x"),
    "two ENDs": streamed(frame(CHUNK, b"a"), end_of(b"a"), end_of(b"a")),
    "an empty chunk": streamed(frame(CHUNK, b"a"), frame(CHUNK, b""), end_of(b"a", b"")),
    "two empty chunks and no END": streamed(
        frame(CHUNK, b"a"), frame(CHUNK, b""), frame(CHUNK, b""), frame(CHUNK, b"")),
    "ERROR of 500": streamed(frame(CHUNK, b"a"), frame(ERROR, b'{"status": 500}')),
    "ERROR that says 200": streamed(frame(CHUNK, b"a"), frame(ERROR, b'{"status": 200}')),
    "ERROR of no number": streamed(frame(CHUNK, b"a"), frame(ERROR, b'{"status": "x"}')),
    "ERROR of infinity": streamed(frame(CHUNK, b"a"), frame(ERROR, b'{"status": 1e999}')),
    "ERROR of NaN": streamed(frame(CHUNK, b"a"), frame(ERROR, b'{"status": NaN}')),
    "ERROR so deep": streamed(frame(CHUNK, b"a"), frame(ERROR, DEEP)),
    "ERROR of a list": streamed(frame(CHUNK, b"a"), frame(ERROR, b"[]")),
    "ERROR of nothing": streamed(frame(CHUNK, b"a"), frame(ERROR, b"")),
    "ERROR of a giant wait": streamed(
        frame(CHUNK, b"a"),
        frame(ERROR, b'{"status": 503, "retry_after_s": 1%b}' % (b"0" * 400))),
    "ERROR with half a character": streamed(
        frame(CHUNK, b"a"), frame(ERROR, b'{"status": 500, "message": "\\ud800"}')),
    "ERROR and then END": streamed(
        frame(CHUNK, b"a"), frame(ERROR, b'{"status": 500}'), end_of(b"a")),
    "text that is no UTF-8": streamed(frame(CHUNK, b"a"), frame(CHUNK, b"\xff"),
                                      end_of(b"a", b"\xff")),
    "text cut in a character": streamed(frame(CHUNK, b"a\xc3"), end_of(b"a\xc3")),
    "another content type": documented(frame(CHUNK, b"a") + end_of(b"a"), "text/plain"),
    "no content type": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + frame(CHUNK, b"a"),
    "raw mode unasked": documented(b"a", "text/event-stream"),
    "an encoded reply": documented(b"a", FRAMES, "Content-Encoding: gzip"),
    "JSON of a list": documented(b"[]"),
    "JSON of null": documented(b"null"),
    "JSON that is none": documented(b"{"),
    "JSON so deep": documented(DEEP),
    "JSON that does not fit": documented(b'{"completion": 5}'),
    "redirect": reply_head("text/html", "Location: http://127.0.0.1:1/", "Content-Length: 0",
                           status="307 Temporary Redirect"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "partial content": reply_head(FRAMES, "Content-Length: 6", status="206 Partial Content")
    + frame(CHUNK, b"a"),
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "status 999": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 What\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x00\xff" * 100,
    "a shell's greeting": b"SSH-2.0-OpenSSH_9.6\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "an empty answer": b"",
    "a head cut off": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
    "a broken chunk": reply_head(FRAMES, "Transfer-Encoding: chunked") + b"zz\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    "an error so deep": reply_head("application/json", "Content-Length: 20000",
                                   status="500 No") + DEEP,
    "an error with half a character": reply_head(
        "application/json", "Content-Length: 21", status="500 No") + b'{"message": "\\ud800"}',
    "an error of a giant wait": reply_head(
        "application/json", "Content-Length: 421", status="503 No")
    + b'{"retry_after_s": 1' + b"0" * 401 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_STREAMS)
@pytest.mark.parametrize("hold", [False, True])
async def test_a_bad_stream_is_a_failure_and_what_came_is_kept(
    alice: Keypair, kind: str, hold: bool
) -> None:
    data = BAD_STREAMS[kind]
    timeout = 0.4 if hold else 3
    chunks, final = await stream_from(sends(data, hold=hold), alice, timeout)
    assert not final.is_success
    assert final.is_failure
    assert final.dendrite.status_code not in (None, 200)
    assert final.dendrite.status_message
    assert "".join(chunks) == final.completion
    if data.startswith(reply_head(FRAMES)[:-2]) and b"\r\n\r\n" + frame(CHUNK, b"a") in data:
        assert chunks == ["a"]


@pytest.mark.parametrize("kind", BAD_STREAMS)
async def test_a_bad_answer_to_a_unary_call_is_a_failure(alice: Keypair, kind: str) -> None:
    async with (
        scripted_peer(sends(BAD_STREAMS[kind]), HOTKEY) as peer,
        Dendrite(alice) as dendrite,
    ):
        reply = await dendrite(peer, Echo(text="mine"), timeout=3)
        if kind == "JSON that does not fit":
            return  # it does fit this route: an unknown field is ignored
        with pytest.raises(CallError) as caught:
            await dendrite.call(peer, Echo(text="mine"), timeout=3, raise_errors=True)
    assert reply.is_failure
    assert (reply.text, reply.answer) == ("mine", "")
    assert caught.value.peer.startswith(HOTKEY)


BAD_ANSWERS: dict[str, bytes] = {
    "a list": b"[]",
    "null": b"null",
    "a number": b"5",
    "text": b'"x"',
    "nothing": b"",
    "half": b'{"answer": "x',
    "two": b'{"answer": "x"}{"answer": "y"}',
    "a wrong type": b'{"answer": 5}',
    "a nested type": b'{"answer": {"a": 1}}',
    "so deep": b'{"answer":' * 20_000,
    "not UTF-8": b'{"answer": "\xff"}',
    "half a character": b'{"answer": "\\ud800"}',
    "a giant number": b'{"answer": 1%b}' % (b"0" * 5000),
    "a giant number beside": b'{"text": 5, "other": 1%b, "answer": 5}' % (b"0" * 5000),
    "infinity": b'{"answer": 1e999}',
}


@pytest.mark.parametrize("kind", BAD_ANSWERS)
async def test_an_answer_of_another_shape_is_422(alice: Keypair, kind: str) -> None:
    script = sends(documented(BAD_ANSWERS[kind]))
    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice) as dendrite:
        reply = await dendrite(peer, Echo(text="mine"), timeout=3)
    assert (reply.dendrite.status_code, reply.is_success) == (422, False)
    assert (reply.text, reply.answer) == ("mine", "")


async def test_a_reply_that_rewrites_the_question_or_the_terminals_is_not_believed(
    alice: Keypair,
) -> None:
    body = json.dumps(
        {
            "text": "theirs",
            "answer": "an answer",
            "name": "Other",
            "timeout": 1e9,
            "dendrite": {"hotkey": "x", "status_code": 200},
            "axon": {"hotkey": "theirs", "port": 1},
        }
    ).encode()
    async with (
        scripted_peer(sends(documented(body)), HOTKEY) as peer,
        Dendrite(alice) as dendrite,
    ):
        reply = await dendrite(peer, Echo(text="mine"))
    assert (reply.text, reply.answer, reply.name) == ("mine", "an answer", "Echo")
    assert (reply.timeout, reply.axon.hotkey, reply.axon.port) == (12.0, HOTKEY, peer.port)
    assert reply.dendrite.hotkey == alice.ss58_address


async def test_a_spoilt_question_in_a_reply_does_not_spoil_the_answer(alice: Keypair) -> None:
    script = sends(documented(b'{"text": {"not": "text"}, "answer": "good"}'))
    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice) as dendrite:
        reply = await dendrite(peer, Echo(text="mine"))
    assert (reply.text, reply.answer, reply.is_success) == ("mine", "good", True)


async def test_a_redirect_is_not_followed(alice: Keypair) -> None:
    asked: list[bytes] = []

    async def bait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await read_request(reader))[0])

    async with scripted_peer(bait, HOTKEY) as second:
        for status in ("301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"):
            line = f"Location: {second.url}/Echo"
            script = sends(reply_head("text/plain", line, "Content-Length: 0", status=status))
            async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice) as dendrite:
                reply = await dendrite(peer, Echo(text=""))
            assert reply.dendrite.status_code == int(status[:3])
            assert reply.is_failure
    assert asked == []


async def test_cookies_are_not_kept(alice: Keypair) -> None:
    heads: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heads.append((await read_request(reader))[0])
            writer.write(documented(b"{}", "application/json", "Set-Cookie: track=1; Path=/"))

    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice) as dendrite:
        named = replace(peer, ip="localhost")  # cookie jars take none from a bare address
        for _ in range(2):
            assert (await dendrite(named, Echo(text=""))).is_success
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


def endless(head: bytes, piece: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return script


async def test_an_endless_answer_to_a_unary_call_is_cut_and_not_held(alice: Keypair) -> None:
    for head in (
        reply_head("application/json", "Connection: close"),
        reply_head("application/json", f"Content-Length: {2**40}"),
    ):
        script = endless(head, b" " * 65_536)
        tracemalloc.start()
        async with (
            scripted_peer(script, HOTKEY) as peer,
            Dendrite(alice, max_reply_bytes=2**20) as dendrite,
        ):
            reply = await dendrite(peer, Echo(text=""), timeout=5)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert reply.dendrite.status_code == 422
        assert "1048576" in (reply.dendrite.status_message or "")
        assert peak < 8 * 2**20


async def test_an_endless_error_body_is_cut_and_not_held(alice: Keypair) -> None:
    head = reply_head("application/json", "Connection: close", status="500 No")
    tracemalloc.start()
    async with (
        scripted_peer(endless(head, b"x" * 65_536), HOTKEY) as peer,
        Dendrite(alice) as dendrite,
    ):
        reply = await dendrite(peer, Echo(text=""), timeout=5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reply.dendrite.status_code == 500
    assert peak < 8 * 2**20


async def test_a_frame_over_the_limit_is_not_held(alice: Keypair) -> None:
    head = reply_head(FRAMES, "Connection: close") + struct.pack(">BI", CHUNK, 2**31)
    tracemalloc.start()
    chunks, final = await stream_from(endless(head, b"x" * 65_536), alice, 5, max_chunk_bytes=2**20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (chunks, final.dendrite.status_code) == ([], 422)
    assert peak < 8 * 2**20


async def test_an_endless_stream_that_nobody_reads_is_not_held(alice: Keypair) -> None:
    head = reply_head(FRAMES, "Connection: close")
    script = endless(head, frame(CHUNK, b"x" * 4096) * 16)
    tracemalloc.start()
    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice) as dendrite:
        stream = await dendrite(peer, Words(), timeout=None)
        await asyncio.sleep(0.5)
        _, peak = tracemalloc.get_traced_memory()
        await stream.aclose()
    tracemalloc.stop()
    assert peak < 8 * 2**20


async def test_one_hostile_peer_does_not_disturb_the_others(
    alice: Keypair, axon: Axon, dendrite: Dendrite
) -> None:
    async def words(synapse: Words):  # type: ignore[no-untyped-def]
        yield "good"

    async def echo(synapse: Echo) -> Echo:
        synapse.answer = "good"
        return synapse

    axon.attach(words).attach(echo)
    hostile = list(BAD_STREAMS.values()) + [documented(one) for one in BAD_ANSWERS.values()]

    turns: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        turns.append(0)
        writer.write(hostile[len(turns) % len(hostile)])

    async with axon, scripted_peer(script, HOTKEY) as bad:
        peers: list[Peer] = [bad, axon.info()] * len(hostile)
        unary = await dendrite(peers, Echo(text=""), timeout=5)
        whole = await dendrite(peers, Words(), timeout=5, streaming=False)
        streams = await dendrite(peers, Words(), timeout=5)
        finals = [await stream for stream in streams]
    for replies in (unary, whole, finals):
        assert [reply.is_success for reply in replies[1::2]] == [True] * len(hostile)
    assert {reply.answer for reply in unary[1::2]} == {"good"}
    assert {reply.completion for reply in (*whole[1::2], *finals[1::2])} == {"good"}
    assert sum(reply.is_failure for reply in (*whole[::2], *finals[::2])) > len(hostile)


async def test_a_reader_that_leaves_a_hostile_stream_is_free_at_once(alice: Keypair) -> None:
    gone: list[str] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(reply_head(FRAMES, "Connection: close") + frame(CHUNK, b"a"))
        await writer.drain()
        await reader.read()
        gone.append("left")

    async with scripted_peer(script, HOTKEY) as peer, Dendrite(alice) as dendrite:
        stream = await dendrite(peer, Words(), timeout=None)
        async for _ in stream:
            break
        await until(lambda: gone)
        del stream
        gc.collect()
