"""Who chooses the digest of a stream gains nothing by it; requests and replies as raw bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from blake3 import blake3

from node import Axon, Dendrite, Keypair
from node.errors import BadReceipt, BadReply, CallError
from node.streams import (
    Frame,
    FrameDecoder,
    FrameKind,
    StreamMode,
)
from node.wire import DIGEST_HEADER, Caller, DigestName, Receipt, ReplyDigest
from tests.functional.stream_bytes import NATIVE
from tests.functional.synapses import Words
from tests.raw_http import (
    RawReply,
    ask,
    read_request,
    scripted_peer,
    signed_request,
)
from tests.relay import Relay, stream_reply

MODES = pytest.mark.parametrize("mode", NATIVE)
CHUNKS = [b"one ", b"two ", b"x" * 70_000]


async def words(synapse: Words) -> AsyncIterator[bytes]:
    for chunk in CHUNKS:
        yield chunk


def digest_of(name: DigestName, chunks: list[bytes] = CHUNKS) -> ReplyDigest:
    digest = ReplyDigest(name)
    digest.add_all(chunks)
    return digest


# What an axon answers.


async def asked(axon: Axon, keypair: Keypair, query: str) -> tuple[RawReply, dict[str, Any]]:
    """Return a reply in frames, and the document of its END."""
    target = f"/Words?stream=frames{query}"
    reply = await ask(axon.port, signed_request(keypair, axon.hotkey, target, b"{}"))
    *_, end = FrameDecoder().feed(reply.body)
    assert end.kind is FrameKind.END
    return reply, json.loads(end.payload)


@pytest.mark.parametrize(
    "query", ["", "&digest=sha256", "&digest=md5", "&digest=BLAKE3", "&digest=", "&digest=%00"]
)
async def test_who_does_not_ask_for_it_reads_what_was_always_sent(
    axon: Axon, alice: Keypair, query: str
) -> None:
    async with axon.attach(words):
        reply, end = await asked(axon, alice, query)
    assert reply.header(DIGEST_HEADER) is None
    assert end.keys() == {"chunks", "sha256", "receipt"}
    assert end["receipt"]["reply"] == end["sha256"] == digest_of(DigestName.SHA256).hexdigest()


async def test_who_asks_for_it_is_told_by_the_head_the_end_and_the_receipt(
    axon: Axon, alice: Keypair
) -> None:
    async with axon.attach(words):
        reply, end = await asked(axon, alice, "&digest=blake3")
    lengths = blake3(b"".join(len(chunk).to_bytes(4, "big") for chunk in CHUNKS)).digest()
    both = lengths + blake3(b"".join(CHUNKS)).digest()
    assert reply.header(DIGEST_HEADER) == "blake3"
    assert end.keys() == {"chunks", "blake3", "receipt"}
    assert end["blake3"] == blake3(both).hexdigest()
    receipt = Receipt.of_document(end["receipt"])
    assert receipt.reply == f"blake3:{end['blake3']}"
    receipt.verify(axon.hotkey)
    receipt.check_chunks(CHUNKS)


async def test_raw_says_nothing_of_digests(axon: Axon, alice: Keypair) -> None:
    request = signed_request(alice, axon.hotkey, "/Words?stream=raw&digest=blake3", b"{}")
    async with axon.attach(words):
        reply = await ask(axon.port, request)
    assert reply.header(DIGEST_HEADER) is None
    assert reply.body == b"".join(CHUNKS)


async def test_nobody_on_the_way_chooses_the_digest(axon: Axon, alice: Keypair) -> None:
    good = signed_request(alice, axon.hotkey, "/Words?stream=frames&digest=blake3", b"{}")
    async with axon.attach(words):
        for target in ("/Words?stream=frames", "/Words?stream=frames&digest=sha256"):
            reply = await ask(axon.port, good.change(target=target))
            assert (reply.status, reply.json()["code"]) == (401, "bad_signature")


# What a dendrite takes.


def reply_of(
    mode: StreamMode, end: dict[str, Any], *heads: str, chunks: list[bytes] = CHUNKS
) -> bytes:
    """Return a whole reply with this END; `heads` are more lines of its head."""
    frames = [Frame(FrameKind.CHUNK, chunk) for chunk in chunks]
    return stream_reply(mode, [*frames, end_frame(end)], *heads)


def end_frame(document: dict[str, Any]) -> Frame:
    return Frame(FrameKind.END, json.dumps(document).encode())


async def outcome(reply: bytes, keypair: Keypair, mode: StreamMode) -> CallError | None:
    """Return how a stream from a peer that answers these bytes fails, if it does."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(reader)
        assert b"&digest=blake3 " in head
        writer.write(reply)
        await writer.drain()

    hotkey = Keypair.from_uri("//Mallory").ss58_address
    async with scripted_peer(script, hotkey) as peer, Dendrite(keypair, mode=mode) as dendrite:
        stream = await dendrite.stream(peer, Words(), raise_errors=True)
        try:
            await stream
        except CallError as error:
            return error
    return None


SHA256 = {"sha256": digest_of(DigestName.SHA256).hexdigest()}
BLAKE3 = {"blake3": digest_of(DigestName.BLAKE3).hexdigest()}
SAYS = f"{DIGEST_HEADER}: "


@MODES
@pytest.mark.parametrize(
    ("heads", "digests"),
    [
        ((), SHA256),
        ((SAYS + "sha256",), SHA256),
        ((SAYS + "blake3",), BLAKE3),
        ((SAYS + "blake3",), {**BLAKE3, "sha256": "another"}),
    ],
    ids=["says nothing", "says sha256", "says blake3", "says blake3, and more"],
)
async def test_either_digest_is_taken_whichever_was_asked_for(
    alice: Keypair, mode: StreamMode, heads: tuple[str, ...], digests: dict[str, str]
) -> None:
    reply = reply_of(mode, {"chunks": len(CHUNKS), **digests}, *heads)
    assert await outcome(reply, alice, mode) is None


WRONG: dict[str, tuple[tuple[str, ...], dict[str, Any], type[CallError], str]] = {
    "an unknown name in the head": (
        (SAYS + "md5",), {**SHA256, **BLAKE3}, BadReply, "in a way that is not known here"),
    "a name in capitals in the head": (
        (SAYS + "BLAKE3",), BLAKE3, BadReply, "in a way that is not known here"),
    "no name in the head": (
        (SAYS,), SHA256, BadReply, "in a way that is not known here"),
    "bytes in the head": (
        (SAYS + "\xff",), SHA256, BadReply, "in a way that is not known here"),
    "an unknown name in the END": (
        (), {"md5": "00"}, BadReply, "no number of chunks or no sha256 digest"),
    "the END has another than the head": (
        (SAYS + "blake3",), SHA256, BadReply, "no number of chunks or no blake3 digest"),
    "the head has another than the END": (
        (), BLAKE3, BadReply, "no number of chunks or no sha256 digest"),
    "one digest under the other's name": (
        (SAYS + "blake3",), {"blake3": SHA256["sha256"]}, BadReceipt, "does not match"),
    "the other under the first's": (
        (), {"sha256": BLAKE3["blake3"]}, BadReceipt, "does not match"),
    "a digest with its name before it": (
        (SAYS + "blake3",), {"blake3": "blake3:" + BLAKE3["blake3"]}, BadReceipt, "does not match"),
    "a digest of no text": ((SAYS + "blake3",), {"blake3": [1]}, BadReceipt, "does not match"),
    "a digest of nothing": ((SAYS + "blake3",), {"blake3": None}, BadReceipt, "does not match"),
}  # fmt: skip


@MODES
@pytest.mark.parametrize("kind", WRONG)
async def test_a_digest_that_is_not_what_it_says_is_told_in_words(
    alice: Keypair, mode: StreamMode, kind: str
) -> None:
    heads, digests, expected, words = WRONG[kind]
    error = await outcome(reply_of(mode, {"chunks": len(CHUNKS), **digests}, *heads), alice, mode)
    assert type(error) is expected
    assert words in str(error)
    assert str(error).startswith(error.peer)


ALTERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a bit of a long one": lambda chunks: [*chunks[:2], b"x" * 69_999 + b"y"],
    "a bit of a short one": lambda chunks: [b"onE ", *chunks[1:]],
    "a border": lambda chunks: [b"one", b" two ", *chunks[2:]],
    "the order": lambda chunks: [chunks[1], chunks[0], chunks[2]],
}


@MODES
@pytest.mark.parametrize("kind", ALTERED)
async def test_an_altered_chunk_does_not_match(alice: Keypair, mode: StreamMode, kind: str) -> None:
    for name in DigestName:
        end = {"chunks": len(CHUNKS), name: digest_of(name).hexdigest()}
        reply = reply_of(mode, end, SAYS + name, chunks=ALTERED[kind](CHUNKS))
        assert isinstance(await outcome(reply, alice, mode), BadReceipt)


@MODES
@pytest.mark.parametrize("forges", [False, True], ids=["the node's receipt", "a changed receipt"])
async def test_a_relay_can_not_swap_the_digest_under_the_signature(
    axon: Axon, alice: Keypair, mode: StreamMode, forges: bool
) -> None:
    """Its head and END are right by SHA-256; the node has signed for BLAKE3."""

    def swap(frames: list[Frame], _: Caller) -> list[Frame]:
        receipt = json.loads(frames[-1].payload)["receipt"]
        if forges:
            receipt["reply"] = SHA256["sha256"]
        return [*frames[:-1], end_frame({"chunks": len(CHUNKS), **SHA256, "receipt": receipt})]

    relay = Relay(axon, mode, swap, tells_digest=False)
    async with (
        axon.attach(words),
        scripted_peer(relay.script, axon.hotkey) as peer,
        Dendrite(alice, mode=mode) as dendrite,
    ):
        with pytest.raises(BadReceipt, match="signature" if forges else "another reply"):
            await dendrite.call(peer, Words(), raise_errors=True)
