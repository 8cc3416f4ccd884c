"""Typed streams under arbitrary cuts and single-bit flips: the same models, or one named error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from node import stream_reader, stream_types, stream_writer
from node.errors import BadStream, CutStream
from node.streams import StreamTypes


class Header(BaseModel):
    title: str
    weights: list[float] = []


class Item(BaseModel):
    text: str
    number: int = 0
    raw: bytes = b""
    more: dict[str, int | None] = {}


class Footer(BaseModel):
    count: int


FINITE = st.floats(allow_nan=False, allow_infinity=False)
HEADERS = st.builds(Header, title=st.text(), weights=st.lists(FINITE, max_size=3))
ITEMS = st.lists(
    st.builds(
        Item,
        text=st.text(),
        number=st.integers(),
        raw=st.text(max_size=8).map(str.encode),
        more=st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=3),
    ),
    max_size=4,
)
FOOTERS = st.builds(Footer, count=st.integers())
TYPES: list[StreamTypes[Any, Any, Any]] = [
    stream_types(Item),
    stream_types(Item, header_type=Header),
    stream_types(Item, footer_type=Footer),
    stream_types(Item, header_type=Header, footer_type=Footer),
]
STREAMS = st.tuples(st.sampled_from(TYPES), HEADERS, ITEMS, FOOTERS)
Stream = tuple[StreamTypes[Any, Any, Any], Header, list[Item], Footer]


def models_of(stream: Stream) -> list[BaseModel]:
    types, header, items, footer = stream
    first = [header] if types.header_type else []
    last = [footer] if types.footer_type else []
    return [*first, *items, *last]


def frames_of(stream: Stream) -> list[bytes]:
    writer: Any = stream_writer(stream[0])
    verbs = {Header: "yield_header", Item: "yield_item", Footer: "yield_footer"}
    return [getattr(writer, verbs[type(model)])(model) for model in models_of(stream)]


def written(stream: Stream) -> bytes:
    return b"".join(frames_of(stream))


async def read(types: StreamTypes[Any, Any, Any], data: bytes, cuts: Sequence[int]) -> list[Any]:
    async def source() -> AsyncIterator[bytes]:
        for start, end in pairwise([0, *sorted(cuts), len(data)]):
            yield data[start:end]

    reader: Any = stream_reader(types, source(), max_item_bytes=100_000)
    found = [await reader.read_header()] if types.header_type else []
    found += [item async for item in reader.read_items()]
    if types.footer_type:
        found.append(await reader.read_footer())
    return found


@given(STREAMS, st.data())
async def test_any_cuts_give_the_same_models(stream: Stream, draw: st.DataObject) -> None:
    data = written(stream)
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=10))
    assert await read(stream[0], data, cuts) == models_of(stream)


@given(STREAMS)
async def test_one_byte_at_a_time_gives_the_same_models(stream: Stream) -> None:
    data = written(stream)
    assert await read(stream[0], data, range(len(data))) == models_of(stream)


@given(STREAMS, st.data())
async def test_a_flipped_bit_gives_models_or_one_named_error(
    stream: Stream, draw: st.DataObject
) -> None:
    data = bytearray(written(stream) or b"\x05\0\0\0\0")
    position = draw.draw(st.integers(0, len(data) * 8 - 1))
    data[position // 8] ^= 1 << position % 8
    try:
        found = await read(stream[0], bytes(data), [])
    except BadStream:
        return
    assert all(isinstance(model, Header | Item | Footer) for model in found)


@given(STREAMS, st.data())
async def test_a_cut_is_told_from_an_end(stream: Stream, draw: st.DataObject) -> None:
    frames = frames_of(stream)
    data, borders = b"".join(frames), list(accumulate(map(len, frames), initial=0))
    if not data:
        return
    length = draw.draw(st.sampled_from(borders[:-1]) | st.integers(0, len(data) - 1))
    if length not in borders:
        with pytest.raises(CutStream):
            await read(stream[0], data[:length], [])
    elif stream[0].footer_type or (stream[0].header_type and not length):
        with pytest.raises(BadStream) as caught:
            await read(stream[0], data[:length], [])
        assert not isinstance(caught.value, CutStream)
    else:
        whole = borders.index(length)
        assert await read(stream[0], data[:length], []) == models_of(stream)[:whole]


@given(st.sampled_from(TYPES), st.lists(st.binary(max_size=30), max_size=5))
async def test_any_bytes_give_models_or_one_named_error(
    types: StreamTypes[Any, Any, Any], pieces: list[bytes]
) -> None:
    data = b"".join(pieces)
    try:
        found = await read(types, data, [])
    except BadStream:
        return
    assert len(found) <= len(data) // 5


@given(st.sampled_from(TYPES), st.integers(2, 5), st.binary(max_size=40))
async def test_any_payload_gives_a_model_or_one_named_error(
    types: StreamTypes[Any, Any, Any], kind: int, payload: bytes
) -> None:
    data = bytes([kind]) + len(payload).to_bytes(4, "big") + payload
    try:
        found = await read(types, data, [])
    except BadStream:
        return
    assert kind == 5 or len(found) == 1


@pytest.mark.parametrize(
    "payload",
    [b"[" * 50_000, b'{"text":' * 10_000, b'{"text":"\\ud800"}', b'{"text":"","number":1e999}',
     b'{"text":"","number":1' + b"0" * 5000 + b"}", b"\xff\xfe{\0}\0", b"", b"null"],
    ids=["deep list", "deep object", "half a character", "infinity", "giant number", "UTF-16",
         "nothing", "null"],
)  # fmt: skip
async def test_json_that_breaks_other_parsers_is_one_named_error(payload: bytes) -> None:
    data = b"\x03" + len(payload).to_bytes(4, "big") + payload
    with pytest.raises(BadStream):
        await read(TYPES[0], data, [])
