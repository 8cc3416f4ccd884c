"""Typed streams over HTTP: validated models in every mode, and no success that is not whole."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from node import Axon, Dendrite, Keypair, TypedStream, stream_types, stream_writer
from node.errors import BadStream, PeerRefused
from node.streams import FrameKind, StreamMode, encode_frame
from node.synapse import Send, StreamingReply
from node.wire import ReplyDigest
from tests.raw_http import chunked, read_request, reply_head, scripted_peer

FRAMES = "application/x-ganglion-frames"


class Item(BaseModel):
    text: str
    number: int = Field(default=0, ge=0)


class Header(BaseModel):
    title: str


class Footer(BaseModel):
    count: int


class Plain(TypedStream[Item]):
    count: int = 3


class Full(TypedStream[Item, Header, Footer]):
    count: int = 3


@pytest.fixture(params=list(StreamMode), ids=str)
async def dendrite(request: pytest.FixtureRequest, alice: Keypair) -> AsyncIterator[Dendrite]:
    """Alice's dendrite, in each mode."""
    async with Dendrite(alice, mode=request.param) as dendrite:
        yield dendrite


def items(count: int = 3) -> list[Item]:
    return [Item(text=f"é\n{number}", number=number) for number in range(count)]


def models(count: int = 3) -> list[BaseModel]:
    return [Header(title="h"), *items(count), Footer(count=count)]


async def plain(synapse: Plain) -> AsyncIterator[Item]:
    for item in items(synapse.count):
        yield item


async def full(synapse: Full) -> AsyncIterator[BaseModel]:
    for model in models(synapse.count):
        yield model


def full_sync(synapse: Full) -> Iterator[BaseModel]:
    yield from models(synapse.count)


async def full_whole(synapse: Full) -> Full:
    synapse.header, synapse.footer = Header(title="h"), Footer(count=synapse.count)
    synapse.items = items(synapse.count)
    return synapse


def full_sent(synapse: Full) -> StreamingReply:
    async def streamer(send: Send) -> None:
        for model in models(synapse.count):
            await send({"body": model, "more_body": True})

    return synapse.create_streaming_response(streamer)


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_items_arrive_as_models(axon: Axon, dendrite: Dendrite, count: int) -> None:
    axon.attach(plain)
    async with axon:
        stream = await dendrite(axon.info(), Plain(count=count))
        *found, final = [item async for item in stream]
    assert found == final.items == items(count)
    assert (final.is_success, final.header, final.footer) == (True, None, None)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("forward", [full, full_sync, full_whole, full_sent])
async def test_header_items_and_footer_arrive_from_every_form_of_forward(
    axon: Axon, dendrite: Dendrite, forward: Callable[..., Any], count: int
) -> None:
    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Full(count=count))
        *found, final = [item async for item in stream]
    assert final.is_success, final.dendrite.status_message
    assert found == final.items == items(count)
    assert (final.header, final.footer) == (Header(title="h"), Footer(count=count))


async def test_a_caller_that_does_not_iterate_gets_it_all(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(full)
    async with axon:
        final = await dendrite.call(axon.info(), Full(), raise_errors=True)
    assert (final.items, final.footer) == (items(), Footer(count=3))


async def test_the_question_is_not_rewritten_by_what_the_forward_returns(
    axon: Axon, dendrite: Dendrite
) -> None:
    async def forward(synapse: Plain) -> Plain:
        synapse.items, synapse.count = items(2), 99
        return synapse

    axon.attach(forward)
    async with axon:
        final = await dendrite.call(axon.info(), Plain(count=2))
    assert (final.items, final.count) == (items(2), 2)


HEAD, ITEM, FOOT = Header(title="h"), Item(text="i"), Footer(count=1)
BAD_FORWARDS: dict[str, list[Any]] = {
    "text": [HEAD, "text", FOOT],
    "bytes": [HEAD, b"bytes", FOOT],
    "a dict": [HEAD, {"text": "i"}, FOOT],
    "none": [HEAD, None, FOOT],
    "another model": [HEAD, Plain(), FOOT],
    "no footer": [HEAD, ITEM, ITEM],
    "no items and no footer": [HEAD],
    "no header": [ITEM, FOOT],
    "only a footer": [FOOT],
    "nothing": [],
    "an item after the footer": [HEAD, ITEM, FOOT, ITEM],
    "a second footer": [HEAD, ITEM, FOOT, FOOT],
    "a second header": [HEAD, HEAD, ITEM, FOOT],
    "a header after items": [HEAD, ITEM, HEAD, FOOT],
    "text that is none": [HEAD, Item(text="\ud800"), FOOT],
}


@pytest.mark.parametrize("kind", BAD_FORWARDS)
async def test_a_forward_that_breaks_its_types_fails_and_never_succeeds(
    axon: Axon, dendrite: Dendrite, kind: str
) -> None:
    async def forward(synapse: Full) -> AsyncIterator[Any]:
        for model in BAD_FORWARDS[kind]:
            yield model

    axon.attach(forward)
    async with axon:
        final = await dendrite.call(axon.info(), Full(), timeout=3)
    assert final.is_failure
    # In raw mode a failure midway is told by cutting the connection.
    assert final.dendrite.status_code in (500, 503)
    good = [model for model in BAD_FORWARDS[kind] if isinstance(model, Item)]
    assert final.items == good[: len(final.items)]


async def test_a_model_that_was_not_validated_is_not_believed(
    axon: Axon, dendrite: Dendrite
) -> None:
    """A model made without validation passes the writer's class check; the reader validates."""

    async def forward(synapse: Plain) -> AsyncIterator[Item]:
        yield ITEM
        yield Item.model_construct(text="x", number=-1)
        yield ITEM

    axon.attach(forward)
    async with axon:
        final = await dendrite.call(axon.info(), Plain(), timeout=3)
        with pytest.raises(BadStream) as caught:
            await dendrite.call(axon.info(), Plain(), timeout=3, raise_errors=True)
    assert (final.dendrite.status_code, final.items) == (422, [ITEM])
    assert "number" in final.dendrite.status_message
    assert "-1" not in final.dendrite.status_message
    assert caught.value.peer == str(axon.info())
    assert str(caught.value).startswith(str(axon.info()))


async def test_a_typed_stream_that_fails_midway_keeps_what_came(
    axon: Axon, dendrite: Dendrite
) -> None:
    async def forward(synapse: Full) -> AsyncIterator[BaseModel]:
        yield HEAD
        yield ITEM
        raise ValueError("private words")

    axon.attach(forward)
    async with axon:
        stream = await dendrite(axon.info(), Full(), timeout=3)
        *found, final = [item async for item in stream]
    assert found == final.items == [ITEM]
    assert (final.header, final.footer, final.is_success) == (HEAD, None, False)
    assert "private" not in final.model_dump_json()


WRITER = stream_writer(stream_types(Item))
GOOD = WRITER.yield_item(ITEM)


def item_frame(payload: bytes, kind: int = 3) -> bytes:
    return struct.pack(">BI", kind, len(payload)) + payload


HOSTILE: dict[str, bytes] = {
    "a wrong type": item_frame(b'{"text": 5}'),
    "a value out of range": item_frame(b'{"text": "x", "number": -5}'),
    "a missing field": item_frame(b"{}"),
    "a list": item_frame(b"[]"),
    "no JSON": item_frame(b"\xff"),
    "deep JSON": item_frame(b"[" * 100_000),
    "a header": item_frame(b'{"title": "x"}', 2),
    "a footer": item_frame(b'{"count": 1}', 4),
    "an unknown kind": item_frame(b"{}", 77),
    "a giant item": struct.pack(">BI", 3, 2**32 - 1),
    "half a tag": b"\x03\0",
    "half an item": GOOD[:-1],
    "plain text": b"hello",
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_an_item_that_does_not_fit_is_one_named_error_of_its_peer(
    alice: Keypair, bob: Keypair, kind: str
) -> None:
    """The peer's framing and END are right; only what its chunks hold is not."""
    chunks, digest = [GOOD, HOSTILE[kind]], ReplyDigest()
    for chunk in chunks:
        digest.add(chunk)
    end = b'{"chunks": 2, "sha256": "%b"}' % digest.hexdigest().encode()
    frames = [encode_frame(FrameKind.CHUNK, chunk) for chunk in chunks]
    frames.append(encode_frame(FrameKind.END, end))

    async def script(reader: Any, writer: Any) -> None:
        await read_request(reader)
        writer.write(reply_head(FRAMES, "Transfer-Encoding: chunked") + chunked(*frames))
        await writer.drain()

    async with scripted_peer(script, bob.ss58_address) as peer, Dendrite(alice) as dendrite:
        stream = await dendrite(peer, Plain(), timeout=3)
        *found, final = [item async for item in stream]
        with pytest.raises(BadStream) as caught:
            await dendrite.call(peer, Plain(), timeout=3, raise_errors=True)
    assert found == final.items == [ITEM]
    assert (final.is_success, final.dendrite.status_code) == (False, 422)
    assert caught.value.peer == str(peer)


async def test_one_json_answer_is_no_typed_stream(alice: Keypair, bob: Keypair) -> None:
    """A peer's JSON can't fill items, header and footer past their stream."""
    body = b'{"items": [{"text": "x"}], "header": {"title": "t"}, "footer": {"count": 1}}'

    async def script(reader: Any, writer: Any) -> None:
        await read_request(reader)
        writer.write(reply_head("application/json", f"Content-Length: {len(body)}") + body)
        await writer.drain()

    async with scripted_peer(script, bob.ss58_address) as peer, Dendrite(alice) as dendrite:
        final = await dendrite.call(peer, Full(), timeout=3)
    assert (final.is_success, final.items, final.header) == (False, [], None)


async def test_a_wrong_class_before_anything_was_sent_is_a_plain_500(
    axon: Axon, dendrite: Dendrite
) -> None:
    async def forward(synapse: Plain) -> AsyncIterator[Any]:
        yield Footer(count=1)

    axon.attach(forward)
    async with axon:
        with pytest.raises(PeerRefused) as caught:
            await dendrite.call(axon.info(), Plain(), raise_errors=True)
    assert (caught.value.status, caught.value.code) == (500, "forward_failed")
    assert "Footer" not in str(caught.value)
