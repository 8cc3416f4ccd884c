"""A relay between node and caller, over plain sockets: whatever it changes is a `BadReceipt`."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair
from node.errors import BadReceipt
from node.streams import Frame, FrameKind, StreamMode
from node.wire import (
    RECEIPT_HEADER,
    Caller,
    DigestName,
    Receipt,
    ReplyDigest,
    sign_receipt,
)
from tests.raw_http import (
    RawReply,
    ask,
    read_request,
    reply_head,
    scripted_peer,
    signed_request,
)
from tests.relay import Relay, Tamper, read_caller

from .stream_bytes import NATIVE
from .synapses import Echo, Words

MODES = pytest.mark.parametrize("mode", NATIVE)
MALLORY = Keypair.from_uri("//Mallory")
CHUNKS = [b"one ", b"two ", b"drei \xc3", b"\xa9 ", b"one "]
TEXT = b"".join(CHUNKS).decode()


@pytest.fixture
async def served(axon: Axon) -> AsyncIterator[Axon]:
    async def words(synapse: Words) -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    async def echo(synapse: Echo) -> Echo:
        synapse.answer = synapse.text.upper()
        return synapse

    axon.attach(words).attach(echo)
    async with axon:
        yield axon


def with_end(frames: list[Frame], **changes: Any) -> list[Frame]:
    """Return frames whose END has some other values; None leaves a key out."""
    document = {**json.loads(frames[-1].payload), **changes}
    document = {key: value for key, value in document.items() if value is not None}
    return [*frames[:-1], Frame(FrameKind.END, json.dumps(document).encode())]


def with_right_end(frames: list[Frame], **changes: Any) -> list[Frame]:
    """Return frames whose END counts and digests what now comes before it."""
    digest = ReplyDigest(DigestName.BLAKE3)
    for frame in frames[:-1]:
        digest.add(frame.payload)
    return with_end(frames, chunks=digest.chunks, blake3=digest.hexdigest(), **changes)


def with_receipt(frames: list[Frame], **changes: Any) -> list[Frame]:
    """Return frames whose receipt has some other values, under the same signature."""
    return with_end(frames, receipt={**json.loads(frames[-1].payload)["receipt"], **changes})


def reply_of(frames: list[Frame], name: DigestName) -> str:
    """Return the digest of a stream by one of the functions, as a receipt has it."""
    digest = ReplyDigest(name)
    digest.add_all([frame.payload for frame in frames[:-1]])
    return digest.signed_text()


def forged(frames: list[Frame], caller: Caller, **changes: Any) -> list[Frame]:
    """Return frames with a receipt that is right in all, but signed by Mallory."""
    document = json.loads(frames[-1].payload)
    receipt = sign_receipt(
        MALLORY, caller, status=200, chunks=document["chunks"],
        reply="blake3:" + document["blake3"], started_ns=document["receipt"]["started_ns"],
        ended_ns=document["receipt"]["ended_ns"],
    )  # fmt: skip
    return with_end(frames, receipt={**receipt.to_document(), **changes})


def chunk(data: bytes) -> Frame:
    return Frame(FrameKind.CHUNK, data)


BOB = Keypair.from_uri("//Bob").ss58_address
CHANGED: dict[str, Callable[[list[Frame]], list[Frame]]] = {
    "the first dropped": lambda frames: frames[1:],
    "one dropped": lambda frames: [frames[0], *frames[2:]],
    "the last dropped": lambda frames: [*frames[:-2], frames[-1]],
    "all dropped": lambda frames: frames[-1:],
    "two swapped": lambda frames: [frames[1], frames[0], *frames[2:]],
    "one repeated": lambda frames: [frames[0], *frames],
    "one added": lambda frames: [*frames[:-1], chunk(b"more"), frames[-1]],
    "one altered": lambda frames: [chunk(b"One "), *frames[1:]],
    "two joined": lambda frames: [chunk(CHUNKS[0] + CHUNKS[1]), *frames[2:]],
    "one split": lambda frames: [chunk(b"on"), chunk(b"e "), *frames[1:]],
    "a border moved": lambda frames: [chunk(b"one"), chunk(b" two "), *frames[2:]],
}
TAMPERS: dict[str, Tamper] = {
    "a receipt of another key": forged,
    "a receipt of another key under the peer's name": lambda frames, caller: forged(
        frames, caller, axon=BOB),
    "a receipt of nobody": lambda frames, _: with_end(frames, receipt={}),
    "a receipt of text": lambda frames, _: with_end(frames, receipt="eyJ9"),
    "a signature of zeros": lambda frames, _: with_receipt(frames, signature="0x" + "00" * 64),
    "another caller": lambda frames, _: with_receipt(frames, caller=BOB),
    "another status": lambda frames, _: with_receipt(frames, status=201),
    "another start": lambda frames, _: with_receipt(frames, started_ns=1),
    "another end": lambda frames, _: with_receipt(frames, ended_ns=2**63),
    "another nonce": lambda frames, _: with_receipt(frames, nonce_ns=5),
    "another scheme": lambda frames, _: with_receipt(frames, scheme="ed25519"),
    "another request": lambda frames, _: with_receipt(frames, request="00" * 32),
    "a right digest by the other function": lambda frames, _: with_receipt(
        frames, reply=reply_of(frames, DigestName.SHA256)),
    "a digest without its name": lambda frames, _: with_receipt(
        frames, reply=reply_of(frames, DigestName.BLAKE3).removeprefix("blake3:")),
    "a digest by an unknown function": lambda frames, _: with_receipt(frames, reply="md5:00"),
}  # fmt: skip
for name, change in CHANGED.items():
    TAMPERS[name] = lambda frames, _, change=change: change(frames)  # type: ignore[misc]
    TAMPERS[f"{name}, END made to match"] = (
        lambda frames, _, change=change: with_right_end(change(frames))  # type: ignore[misc]
    )


@MODES
async def test_a_relay_that_changes_nothing_is_not_noticed(
    served: Axon, alice: Keypair, mode: StreamMode
) -> None:
    relay = Relay(served, mode, lambda frames, _: frames)
    async with (
        scripted_peer(relay.script, served.hotkey) as peer,
        Dendrite(alice, mode=mode) as dendrite,
    ):
        final = await dendrite.call(peer, Words(), raise_errors=True)
    assert final.completion == TEXT
    final.receipt.verify(served.hotkey)


@MODES
@pytest.mark.parametrize("kind", TAMPERS)
async def test_a_relay_that_changes_anything_is_a_bad_receipt(
    served: Axon, alice: Keypair, mode: StreamMode, kind: str
) -> None:
    relay = Relay(served, mode, TAMPERS[kind])
    async with (
        scripted_peer(relay.script, served.hotkey) as peer,
        Dendrite(alice, mode=mode) as dendrite,
    ):
        stream = await dendrite.stream(peer, Words(), raise_errors=True)
        with pytest.raises(BadReceipt) as caught:
            await stream
        final = await dendrite.call(peer, Words())
    assert caught.value.peer == str(peer)
    assert str(caught.value).startswith(str(peer))
    assert stream.receipt is None
    assert (final.is_success, final.dendrite.status_code) == (False, 422)
    assert final.receipt is None


@MODES
async def test_a_receipt_of_another_request_is_refused(
    served: Axon, alice: Keypair, mode: StreamMode
) -> None:
    """The same caller, node and question twice; only the nonce tells them apart."""
    seen: list[list[Frame]] = []

    def replay(frames: list[Frame], _: Caller) -> list[Frame]:
        seen.append(frames)
        return seen[0]

    relay = Relay(served, mode, replay)
    async with (
        scripted_peer(relay.script, served.hotkey) as peer,
        Dendrite(alice, mode=mode) as dendrite,
    ):
        first = await dendrite.call(peer, Words())
        with pytest.raises(BadReceipt, match="another request") as caught:
            await dendrite.call(peer, Words(), raise_errors=True)
    assert first.is_success
    assert caught.value.peer == str(peer)


@MODES
async def test_a_receipt_that_was_taken_away_is_missed(
    served: Axon, alice: Keypair, mode: StreamMode
) -> None:
    """A reply need not be signed, so whoever scores replies asks for the receipt itself."""

    def strip(frames: list[Frame], _: Caller) -> list[Frame]:
        return with_right_end([chunk(b"theirs"), frames[-1]], receipt=None)

    relay = Relay(served, mode, strip)
    async with (
        scripted_peer(relay.script, served.hotkey) as peer,
        Dendrite(alice, mode=mode) as dendrite,
    ):
        final = await dendrite.call(peer, Words())
    assert (final.completion, final.receipt) == ("theirs", None)


async def unary_through(
    axon: Axon, keypair: Keypair, change: Callable[[RawReply, Caller], tuple[bytes, str]]
) -> None:
    """Ask an axon through a relay that gives another body and header; must be a BadReceipt."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_request(reader)
        reply = await ask(axon.port, head + body)
        answer, header = change(reply, read_caller(head, body, axon.hotkey))
        lines = (f"Content-Length: {len(answer)}", f"{RECEIPT_HEADER}: {header}")
        writer.write(reply_head("application/json", *lines) + answer)
        await writer.drain()

    async with scripted_peer(script, axon.hotkey) as peer, Dendrite(keypair) as dendrite:
        with pytest.raises(BadReceipt) as caught:
            await dendrite.call(peer, Echo(text="x"), raise_errors=True)
        reply = await dendrite(peer, Echo(text="x"))
        assert (reply.answer, reply.receipt, reply.dendrite.status_code) == ("", None, 422)
    assert caught.value.peer == str(peer)


def changed_header(reply: RawReply, **changes: Any) -> str:
    receipt = Receipt.of_header(reply.header(RECEIPT_HEADER) or "")
    return replace(receipt, **changes).to_header()


def mallorys_header(reply: RawReply, caller: Caller) -> str:
    digest = hashlib.sha256(reply.body).hexdigest()
    return sign_receipt(
        MALLORY, caller, status=200, chunks=0, reply=digest, started_ns=1, ended_ns=2
    ).to_header()


UNARY: dict[str, Callable[[RawReply, Caller], tuple[bytes, str]]] = {
    "another body": lambda reply, caller: (
        reply.body.replace(b"X", b"Y"), changed_header(reply)),
    "a space more": lambda reply, caller: (reply.body + b" ", changed_header(reply)),
    "another key": lambda reply, caller: (reply.body, mallorys_header(reply, caller)),
    "another caller": lambda reply, caller: (
        reply.body, changed_header(reply, caller=BOB)),
    "another status": lambda reply, caller: (
        reply.body, changed_header(reply, status=500)),
    "a count of chunks": lambda reply, caller: (
        reply.body, changed_header(reply, chunks=1)),
    "no receipt at all": lambda reply, caller: (reply.body, ""),
    "no base64": lambda reply, caller: (reply.body, "%%%"),
    "no JSON": lambda reply, caller: (reply.body, "AAAA"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNARY)
async def test_a_relay_that_changes_a_unary_reply_is_a_bad_receipt(
    served: Axon, alice: Keypair, kind: str
) -> None:
    await unary_through(served, alice, UNARY[kind])


async def test_a_unary_receipt_of_another_request_is_refused(served: Axon, alice: Keypair) -> None:
    raw = await ask(served.port, signed_request(alice, served.hotkey, "/Echo", b'{"text":"x"}'))
    header = raw.header(RECEIPT_HEADER) or ""
    await unary_through(served, alice, lambda *_: (raw.body, header))
