"""Typed streams against frames and behaviours recorded from truss_chains 0.18."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from node import stream_reader, stream_types, stream_writer
from node.errors import BadStream, CutStream, StreamMisuse

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "truss_streams.json").read_text())


class Header(BaseModel):
    time: float
    msg: str


class MyDataChunk(BaseModel):
    words: list[str]


class Footer(BaseModel):
    time: float
    duration_sec: float
    msg: str


class Color(enum.Enum):
    RED = "red"


class Rich(BaseModel):
    i: int
    f: float
    b: bool
    s: str
    n: None
    d: dict[str, int]
    t: tuple[int, str]
    dt: dt.datetime
    by: bytes
    u: UUID
    c: Color
    dec: Decimal


class NanF(BaseModel):
    x: float


class Aliased(BaseModel):
    inner: int = Field(alias="outer")


class Nested(BaseModel):
    child: MyDataChunk
    many: list[MyDataChunk]


MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model for model in (Header, MyDataChunk, Footer, Rich, NanF, Aliased, Nested)
}
# Two vectors hold what is refused here on purpose: a second footer, and NaN written as null,
# which no reader could read again.
REFUSED = {"footer_twice_allowed", "float_nan_inf"}
GOOD = [case for case in VECTORS["vectors"] if case["name"] not in REFUSED]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def types_of(case: dict[str, Any]) -> Any:
    options = {name: MODELS[case[name]] for name in ("header_type", "footer_type") if case[name]}
    return stream_types(MODELS[case["item_type"]], **options)


def model_of(frame: dict[str, Any]) -> BaseModel:
    return MODELS[frame["model"]].model_validate_json(frame["json"], by_name=True, by_alias=True)


async def cut(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("case", GOOD, ids=by_name)
def test_frames_are_the_same_to_the_byte(case: dict[str, Any]) -> None:
    writer = stream_writer(types_of(case))
    written = b""
    for frame in case["frames"]:
        written += getattr(writer, f"yield_{frame['op']}")(model_of(frame))
        assert written.endswith(bytes.fromhex(frame["hex"]))
    assert written.hex() == case["stream_hex"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 1000])
@pytest.mark.parametrize("case", GOOD, ids=by_name)
async def test_streams_are_read_under_every_cut(case: dict[str, Any], size: int) -> None:
    reader = stream_reader(types_of(case), cut(bytes.fromhex(case["stream_hex"]), size))
    found: list[BaseModel] = []
    if case["header_type"]:
        found.append(await reader.read_header())
    found += [item async for item in reader.read_items()]
    if case["footer_type"]:
        found.append(await reader.read_footer())
    assert found == [model_of(frame) for frame in case["frames"]]


def test_what_is_refused_on_purpose() -> None:
    writer = stream_writer(stream_types(MyDataChunk, footer_type=Footer))
    footer = Footer(time=1, duration_sec=2, msg="x")
    writer.yield_footer(footer)
    with pytest.raises(StreamMisuse, match="after its footer"):
        writer.yield_footer(footer)
    numbers = stream_writer(stream_types(NanF))
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(StreamMisuse, match="NaN or an infinity"):
            numbers.yield_item(NanF(x=value))
    assert {case["name"] for case in VECTORS["vectors"]} >= REFUSED


HEADER = Header(time=1.0, msg="Start of stream")
FOOTER = Footer(time=2.0, duration_sec=1.0, msg="End of stream")
ITEMS = [MyDataChunk(words=[word]) for word in ("a", "b", "c")]
FULL = stream_types(MyDataChunk, header_type=Header, footer_type=Footer)
PLAIN = stream_types(MyDataChunk)
WITH_FOOTER = stream_types(MyDataChunk, footer_type=Footer)


def full_stream(items: Iterable[MyDataChunk] = ITEMS) -> bytes:
    writer = stream_writer(FULL)
    frames = [writer.yield_header(HEADER), *map(writer.yield_item, items)]
    return b"".join([*frames, writer.yield_footer(FOOTER)])


def reader_of(types: Any, data: bytes) -> Any:
    return stream_reader(types, cut(data, 1000))


async def count(reader: Any) -> int:
    return len([item async for item in reader.read_items()])


def test_writing_out_of_order_is_a_value_error() -> None:
    writer = stream_writer(FULL)
    with pytest.raises(ValueError, match="comes before anything else"):
        writer.yield_item(ITEMS[0])
    writer.yield_header(HEADER)
    with pytest.raises(ValueError, match="comes once"):
        writer.yield_header(HEADER)
    writer.yield_item(ITEMS[0])
    with pytest.raises(StreamMisuse):
        writer.yield_header(HEADER)
    with pytest.raises(StreamMisuse, match="ends without it"):
        writer.finish()
    writer.yield_footer(FOOTER)
    writer.finish()
    with pytest.raises(StreamMisuse):
        writer.yield_item(ITEMS[0])


def test_a_header_and_a_footer_are_a_stream() -> None:
    writer = stream_writer(FULL)
    frames = [writer.yield_header(HEADER), writer.yield_footer(FOOTER)]
    assert [frame[0] for frame in frames] == [2, 4]


@pytest.mark.parametrize("item", [{"words": []}, FOOTER, None, 5])
def test_an_item_of_another_class_is_refused_when_written(item: Any) -> None:
    with pytest.raises(StreamMisuse, match="MyDataChunk"):
        stream_writer(PLAIN).yield_item(item)


def test_text_that_is_no_unicode_is_refused_when_written() -> None:
    with pytest.raises(StreamMisuse, match="can't be written"):
        stream_writer(PLAIN).yield_item(MyDataChunk(words=["\ud800"]))


def test_null_that_means_none_is_written() -> None:
    class Maybe(BaseModel):
        score: float | None = None
        other: float = 0.0

    writer = stream_writer(stream_types(Maybe))
    assert writer.yield_item(Maybe(other=math.pi)).endswith(b"3.141592653589793}")
    with pytest.raises(StreamMisuse):
        writer.yield_item(Maybe(other=math.nan))
    with pytest.raises(StreamMisuse):
        writer.yield_item(Maybe(score=math.inf))


def test_a_model_that_spells_infinities_makes_the_round_trip() -> None:
    class Spelt(BaseModel, ser_json_inf_nan="strings"):
        score: float
        none: None = None

    frame = stream_writer(stream_types(Spelt)).yield_item(Spelt(score=math.inf))
    assert Spelt.model_validate_json(frame[5:]).score == math.inf


def test_types_are_given_by_name_and_are_models() -> None:
    with pytest.raises(TypeError):
        stream_types(MyDataChunk, Header)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="pydantic model"):
        stream_types(int)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("types", "methods"),
    [
        (PLAIN, {"item"}),
        (stream_types(MyDataChunk, header_type=Header), {"header", "item"}),
        (WITH_FOOTER, {"item", "footer"}),
        (FULL, {"header", "item", "footer"}),
    ],
)
def test_writers_and_readers_have_what_their_types_allow(types: Any, methods: set[str]) -> None:
    writer, reader = stream_writer(types), reader_of(types, b"")
    names = {"header", "item", "footer"}
    assert {name for name in names if hasattr(writer, f"yield_{name}")} == methods
    assert {name for name in names if hasattr(reader, f"read_{name}")} == methods - {"item"}


async def test_items_read_twice_are_none_the_second_time() -> None:
    reader = reader_of(FULL, full_stream())
    await reader.read_header()
    assert (await count(reader), await count(reader)) == (3, 0)
    await reader.read_footer()
    assert await count(reader) == 0
    with pytest.raises(BadStream):
        await reader.read_footer()


async def test_reading_items_can_be_left_and_taken_up_again() -> None:
    reader = reader_of(FULL, full_stream())
    await reader.read_header()
    async for _ in reader.read_items():
        break
    with pytest.raises(BadStream):
        await reader.read_footer()
    assert await count(reader) == 2
    assert await reader.read_footer() == FOOTER


async def test_an_empty_stream_of_items_has_none() -> None:
    assert await count(reader_of(PLAIN, b"")) == 0


@pytest.mark.parametrize("items", [[], ITEMS])
async def test_order_that_is_missing_is_one_named_error(items: list[MyDataChunk]) -> None:
    headless = full_stream(items)[len(stream_writer(FULL).yield_header(HEADER)) :]
    reader = reader_of(FULL, headless)
    with pytest.raises(BadStream, match="no header"):
        await reader.read_header()
    with pytest.raises(BadStream, match="read before its items"):
        await count(reader_of(FULL, full_stream(items)))
    writer = stream_writer(PLAIN)
    footless = b"".join(writer.yield_item(item) for item in items)
    with pytest.raises(BadStream, match="ends without it"):
        await count(reader_of(WITH_FOOTER, footless))
    if not items:
        with pytest.raises(BadStream, match="no footer"):
            await reader_of(WITH_FOOTER, footless).read_footer()


@pytest.mark.parametrize("length", range(1, 17))
async def test_a_stream_that_broke_off_is_told_from_one_that_ended(length: int) -> None:
    frame = stream_writer(PLAIN).yield_item(ITEMS[0])
    assert len(frame) == 5 + len('{"words":["a"]}')
    with pytest.raises(CutStream) as caught:
        await count(reader_of(PLAIN, frame[:length]))
    assert isinstance(caught.value, EOFError)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\0\0\0\0",
        b"\x06\0\0\0\0",
        b"\xff" * 20,
        b"\x03\xff\xff\xff\xff{}",
        b"\x03\0\0\0\x02{]",
        b'\x03\0\0\0\x0b{"words":5}',
        b"\x02\0\0\0\x02{}",
        b"\x04\0\0\0\x02{}",
    ],
    ids=["kind 0", "kind 6", "garbage", "giant", "no JSON", "wrong type", "header", "footer"],
)
async def test_what_is_no_stream_of_these_types_is_a_bad_stream(data: bytes) -> None:
    with pytest.raises(BadStream):
        await count(reader_of(PLAIN, data))


async def test_a_giant_frame_fails_before_it_is_held() -> None:
    taken = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal taken
        yield b"\x03" + (2**32 - 1).to_bytes(4, "big")
        while True:
            taken += 1
            yield b"x" * 1000

    with pytest.raises(BadStream, match="announces"):
        await count(stream_reader(PLAIN, source()))
    assert taken == 0


async def test_an_end_frame_ends_the_stream_whatever_follows() -> None:
    frame = stream_writer(PLAIN).yield_item(ITEMS[0])
    assert await count(reader_of(PLAIN, frame + b"\x05\0\0\0\0" + frame)) == 1


async def test_what_follows_the_footer_is_ignored() -> None:
    reader = reader_of(FULL, full_stream() + b"\xff garbage")
    await reader.read_header()
    assert await count(reader) == 3
    assert await reader.read_footer() == FOOTER
    assert await count(reader) == 0


async def test_an_error_of_the_source_passes() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield stream_writer(PLAIN).yield_item(ITEMS[0])
        raise RuntimeError("Test Error")

    got = []
    with pytest.raises(RuntimeError, match="Test Error"):
        async for item in stream_reader(PLAIN, source()).read_items():
            got.append(item)
    assert got == ITEMS[:1]


async def test_chunks_may_be_memory_views() -> None:
    async def source() -> AsyncIterator[Any]:
        yield memoryview(full_stream())

    reader = stream_reader(FULL, source())
    await reader.read_header()
    assert await count(reader) == 3
