"""Each mode has one encoder and one decoder, and they are of the same frames."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from node import stream_types, stream_writer
from node.errors import BadReply
from node.streams import (
    Frame,
    FrameKind,
    StreamMode,
    chunks_encoder_for,
    decoder_for,
    encoder_for,
)

LIMIT = 10_000
NATIVE = [StreamMode.FRAMES, StreamMode.SSE]
END = Frame(FrameKind.END, b"{}")
CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def encode(mode: StreamMode, frames: list[Frame], *, typed: bool = False) -> bytes:
    write = encoder_for(mode, typed=typed)
    return b"".join(write(*frame, number) for number, frame in enumerate(frames, 1))


@pytest.mark.parametrize("mode", NATIVE)
@given(chunks=CHUNKS, last=st.sampled_from([FrameKind.END, FrameKind.ERROR]), draw=st.data())
def test_frames_are_the_same_in_every_native_mode(
    mode: StreamMode, chunks: list[bytes], last: FrameKind, draw: st.DataObject
) -> None:
    frames = [Frame(FrameKind.CHUNK, chunk) for chunk in chunks]
    frames = [*frames, Frame(FrameKind.HEARTBEAT, b""), Frame(last, b'{"chunks": 1}')]
    data = encode(mode, frames)
    decoder = decoder_for(mode, max_frame_bytes=LIMIT)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    found: list[Frame] = []
    for start, end in pairwise([0, *cuts, len(data)]):
        assert not decoder.closed or start == len(data)
        found += decoder.feed(data[start:end])
    assert found == frames
    assert decoder.closed


@pytest.mark.parametrize("mode", StreamMode)
@given(chunks=CHUNKS, first=st.integers(1, 10_000))
def test_chunks_that_are_encoded_together_are_as_one_by_one(
    mode: StreamMode, chunks: list[bytes], first: int
) -> None:
    write = encoder_for(mode, typed=False)
    numbered = enumerate(chunks, first)
    one_by_one = b"".join(write(FrameKind.CHUNK, chunk, number) for number, chunk in numbered)
    together = chunks_encoder_for(mode, typed=False)(chunks, first)
    assert b"".join(together) == one_by_one


@pytest.mark.parametrize("mode", StreamMode)
def test_long_chunks_that_are_encoded_together_are_as_one_by_one(mode: StreamMode) -> None:
    write = encoder_for(mode, typed=False)
    chunks = [b"a" * 4095, b"b" * 4096, b"c", b"d" * 70_000]
    one_by_one = b"".join(write(FrameKind.CHUNK, c, n) for n, c in enumerate(chunks, 7))
    together = chunks_encoder_for(mode, typed=False)(chunks, 7)
    assert b"".join(together) == one_by_one


def test_a_long_chunk_is_not_copied_to_be_framed() -> None:
    chunk = b"a" * 4096
    framed = chunks_encoder_for(StreamMode.FRAMES, typed=False)([chunk], 1)
    assert any(piece is chunk for piece in framed)


@given(CHUNKS)
def test_raw_is_the_chunks_and_nothing_else(chunks: list[bytes]) -> None:
    frames = [Frame(FrameKind.CHUNK, chunk) for chunk in chunks]
    others = [Frame(kind, b"{}") for kind in FrameKind if kind is not FrameKind.CHUNK]
    assert encode(StreamMode.RAW, [*frames, *others]) == b"".join(chunks)


def test_raw_takes_what_comes_and_leaves_the_end_to_http() -> None:
    decoder = decoder_for(StreamMode.RAW, max_frame_bytes=LIMIT)
    assert list(decoder.feed(b"any\x13bytes")) == [(FrameKind.CHUNK, b"any\x13bytes")]
    assert decoder.closed


class Item(BaseModel):
    text: str


@pytest.mark.parametrize("mode", StreamMode)
def test_typed_chunks_come_back_as_they_were(mode: StreamMode) -> None:
    chunk = stream_writer(stream_types(Item)).yield_item(Item(text="é\n"))
    data = encode(mode, [Frame(FrameKind.CHUNK, chunk)], typed=True)
    (frame,) = decoder_for(mode, max_frame_bytes=LIMIT).feed(data)
    assert frame == (FrameKind.CHUNK, chunk)


@pytest.mark.parametrize("mode", NATIVE)
def test_the_limit_reaches_the_decoder(mode: StreamMode) -> None:
    data = encode(mode, [Frame(FrameKind.CHUNK, b"x" * (LIMIT + 1))])
    with pytest.raises(BadReply, match=str(LIMIT)):
        list(decoder_for(mode, max_frame_bytes=LIMIT).feed(data))


@pytest.mark.parametrize("mode", StreamMode)
def test_every_reply_has_a_decoder_of_its_own(mode: StreamMode) -> None:
    first, second = (decoder_for(mode, max_frame_bytes=LIMIT) for _ in range(2))
    list(first.feed(encode(mode, [END])))
    assert first is not second
    assert second.closed == (mode is StreamMode.RAW)


@pytest.mark.parametrize("mode", NATIVE)
@given(data=st.binary(max_size=200))
def test_garbage_gives_frames_or_a_bad_reply(mode: StreamMode, data: bytes) -> None:
    decoder = decoder_for(mode, max_frame_bytes=LIMIT)
    try:
        found = list(decoder.feed(data))
    except BadReply:
        return
    assert all(frame.kind in FrameKind for frame in found)


@pytest.mark.parametrize("mode", NATIVE)
@given(chunks=CHUNKS, draw=st.data())
def test_a_flipped_bit_gives_frames_or_a_bad_reply(
    mode: StreamMode, chunks: list[bytes], draw: st.DataObject
) -> None:
    frames = [*(Frame(FrameKind.CHUNK, chunk) for chunk in chunks), END]
    data = bytearray(encode(mode, frames))
    position = draw.draw(st.integers(0, len(data) * 8 - 1))
    data[position // 8] ^= 1 << position % 8
    decoder = decoder_for(mode, max_frame_bytes=LIMIT)
    try:
        found = list(decoder.feed(bytes(data)))
    except BadReply:
        return
    # What a flip leaves readable is another stream or an unfinished one, and the END tells.
    assert found != frames or not decoder.closed or mode is StreamMode.SSE
