"""What a stream keeps so that its reply can be stored beside its receipt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator

import pytest

from node import Axon, Dendrite, Stream, StreamingSynapse, TextStream
from node.streams import ReplyStream

TEXT = "é日🚀 and more"


class Words(TextStream):
    """Asks for the test's text."""


async def one_byte_a_chunk(synapse: Words) -> AsyncIterator[bytes]:
    for byte in TEXT.encode():
        yield bytes([byte])


async def whole(synapse: Words) -> Words:
    synapse.completion = TEXT
    return synapse


async def test_the_request_is_the_text_that_the_receipt_names(
    axon: Axon, dendrite: Dendrite
) -> None:
    axon.attach(one_byte_a_chunk)
    async with axon, await dendrite.stream(axon.info(), Words(), 5) as stream:
        await stream.final()
    assert stream.receipt is not None
    assert hashlib.sha256(stream.request).hexdigest() == stream.receipt.request
    lines = stream.request.decode().split("\n")
    assert lines[0] == "btauth/1"
    assert lines[2:4] == ["POST", "/Words?timeout=5&stream=frames&digest=blake3"]
    assert lines[6:] == [dendrite.hotkey, axon.hotkey]


@pytest.mark.parametrize("iterate", [True, False])
async def test_kept_chunks_are_those_that_were_sent(
    axon: Axon, dendrite: Dendrite, iterate: bool
) -> None:
    axon.attach(one_byte_a_chunk)
    async with axon, await dendrite.stream(axon.info(), Words()) as stream:
        stream.keep_chunks()
        assert stream.kept_chunks == ()
        pieces = [piece async for piece in stream.chunks()] if iterate else []
        await stream.final()
    assert stream.kept_chunks == tuple(bytes([byte]) for byte in TEXT.encode())
    assert len(pieces) < len(stream.kept_chunks)
    assert stream.receipt is not None
    stream.receipt.check_chunks(stream.kept_chunks)
    assert stream.body is None


class FirstOnly(StreamingSynapse):
    """Its hook reads one chunk and leaves the rest."""

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[bytes]:
        yield await response.content.readany()

    def extract_response_json(self, response: ReplyStream) -> dict[str, object]:
        return {}


async def test_chunks_that_a_hook_leaves_are_kept_too(axon: Axon, dendrite: Dendrite) -> None:
    async def three(synapse: FirstOnly) -> AsyncIterator[bytes]:
        for chunk in (b"a", b"b", b"c"):
            yield chunk

    axon.attach(three)
    async with axon, await dendrite.stream(axon.info(), FirstOnly()) as stream:
        stream.keep_chunks()
        assert [chunk async for chunk in stream.chunks()] == [b"a"]
    assert stream.kept_chunks == (b"a", b"b", b"c")


async def test_nothing_is_kept_unless_asked_for(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(one_byte_a_chunk)
    async with axon, await dendrite.stream(axon.info(), Words()) as stream:
        await stream.final()
        assert stream.kept_chunks is None
        with pytest.raises(RuntimeError, match="already consumed"):
            stream.keep_chunks()


async def test_a_reply_in_one_document_has_a_body(axon: Axon, dendrite: Dendrite) -> None:
    axon.attach(whole)
    async with axon, await dendrite.stream(axon.info(), Words()) as stream:
        stream.keep_chunks()
        await stream.final()
    assert stream.body is not None
    assert json.loads(stream.body)["completion"] == TEXT
    assert stream.kept_chunks == ()
    assert stream.receipt is not None
    stream.receipt.check_reply(hashlib.sha256(stream.body).hexdigest(), 0)


async def test_a_reply_that_was_already_there_has_none_of_it() -> None:
    stream = Stream.from_synapse(Words(completion=TEXT))
    await stream.final()
    assert (stream.request, stream.body, stream.kept_chunks) == (b"", None, None)
