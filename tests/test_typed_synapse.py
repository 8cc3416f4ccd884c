"""`TypedStream` without a network: its types, its chunks, and what it makes of a reply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from node import StreamingSynapse, TypedStream, stream_types, stream_writer
from node.errors import BadStream, CutStream, RouteError, StreamMisuse
from node.streams import ReplyContent, ReplyStream


class Item(BaseModel):
    text: str


class Header(BaseModel):
    title: str


class Footer(BaseModel):
    count: int


class Plain(TypedStream[Item]):
    topic: str = "all"


class Headed(TypedStream[Item, Header]):
    topic: str = "all"


class Footed(TypedStream[Item, None, Footer]):
    topic: str = "all"


class Full(TypedStream[Item, Header, Footer]):
    topic: str = "all"


GENERIC: Any = TypedStream
HEADER, FOOTER = Header(title="h"), Footer(count=2)
ITEMS = [Item(text="a"), Item(text="é\n")]


def full_stream() -> list[bytes]:
    writer = stream_writer(stream_types(Item, header_type=Header, footer_type=Footer))
    return [
        writer.yield_header(HEADER),
        *map(writer.yield_item, ITEMS),
        writer.yield_footer(FOOTER),
    ]


def reply(chunks: Iterable[bytes]) -> ReplyStream:
    rest = iter(chunks)

    async def read() -> bytes:
        return next(rest, b"")

    return ReplyStream(status=200, headers={}, content=ReplyContent(read))


async def read(synapse: StreamingSynapse, chunks: Iterable[bytes]) -> list[Any]:
    """Run the hooks of a synapse over a reply."""
    response = reply(chunks)
    found = [item async for item in synapse.process_streaming_response(response)]
    assert synapse.extract_response_json(response) == {}
    return found


@pytest.mark.parametrize(
    ("synapse_type", "models"),
    [
        (Plain, (Item, None, None)),
        (Headed, (Item, Header, None)),
        (Footed, (Item, None, Footer)),
        (Full, (Item, Header, Footer)),
    ],
)
def test_the_type_arguments_are_the_models(
    synapse_type: type[TypedStream[Any, Any, Any]], models: tuple[Any, ...]
) -> None:
    types = synapse_type.stream_types
    assert types is not None
    assert (types.item_type, types.header_type, types.footer_type) == models
    assert synapse_type.typed_chunks


def test_a_subclass_inherits_its_types() -> None:
    class More(Full):
        depth: int = 1

    assert More.stream_types is Full.stream_types
    assert More().name == "More"


AnyItem = TypeVar("AnyItem", bound=BaseModel)


def test_types_may_be_given_step_by_step() -> None:
    class Base(TypedStream[AnyItem, None, None], Generic[AnyItem]):
        topic: str = ""

    class Filled(Base[Item]):
        pass

    assert Filled.stream_types is not None
    assert Filled.stream_types.item_type is Item
    with pytest.raises(StreamMisuse, match="names no item type"):
        Base().chunk_encoder()


@pytest.mark.parametrize("arguments", [(Item, Item), (Item, Header, Header), (Item, None, Item)])
def test_two_of_the_same_model_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(RouteError, match="different models"):
        GENERIC[arguments]


@pytest.mark.parametrize("wrong", [int, str, dict, list[int]])
def test_what_is_no_model_is_refused(wrong: Any) -> None:
    with pytest.raises((RouteError, TypeError), match="model"):
        GENERIC[wrong]
    with pytest.raises((RouteError, TypeError), match="model"):
        GENERIC[Item, wrong]


def test_a_stream_of_no_types_says_what_to_do() -> None:
    class Bare(TypedStream):  # type: ignore[type-arg]
        topic: str = ""

    with pytest.raises(StreamMisuse, match=r"Bare names no item type; subclass TypedStream\[Item"):
        Bare().chunk_encoder()


def test_a_body_holds_the_question_only() -> None:
    synapse = Full(topic="x", items=ITEMS, header=HEADER, footer=FOOTER)
    assert synapse.encode_body() == b'{"topic":"x"}'
    assert Full.own_fields() == ("topic",)
    parsed = Full.parse_body(b'{"topic":"y","items":[{"text":"claimed"}],"header":{"title":"t"}}')
    assert (parsed.topic, parsed.items, parsed.header) == ("y", [], None)


def test_chunks_are_the_frames_of_a_typed_stream() -> None:
    encoder = Full().chunk_encoder()
    assert [encoder.encode(model) for model in (HEADER, *ITEMS, FOOTER)] == full_stream()
    encoder.finish()


def test_every_stream_has_an_encoder_of_its_own() -> None:
    synapse = Full()
    first = synapse.chunk_encoder()
    first.encode(HEADER)
    with pytest.raises(StreamMisuse):
        first.encode(HEADER)
    assert synapse.chunk_encoder().encode(HEADER) == full_stream()[0]


@pytest.mark.parametrize(
    ("synapse", "models", "match"),
    [
        (Plain(), [HEADER], "of Item, not Header"),
        (Plain(), ["text"], "of Item, not str"),
        (Plain(), [b"bytes"], "of Item, not bytes"),
        (Plain(), [{"text": "a"}], "of Item, not dict"),
        (Plain(), [None], "of Item, not NoneType"),
        (Full(), [ITEMS[0]], "comes before anything else"),
        (Full(), [FOOTER], "comes before anything else"),
        (Full(), [HEADER, HEADER], "comes once"),
        (Full(), [HEADER, ITEMS[0], HEADER], "comes once"),
        (Full(), [HEADER, FOOTER, ITEMS[0]], "after its footer"),
        (Full(), [HEADER, FOOTER, FOOTER], "after its footer"),
    ],
)
def test_what_does_not_fit_is_refused_when_written(
    synapse: StreamingSynapse, models: list[Any], match: str
) -> None:
    encoder = synapse.chunk_encoder()
    for model in models[:-1]:
        encoder.encode(model)
    with pytest.raises(StreamMisuse, match=match):
        encoder.encode(models[-1])


@pytest.mark.parametrize(
    ("synapse", "models"),
    [(Headed(), []), (Full(), []), (Full(), [HEADER]), (Full(), [HEADER, *ITEMS]), (Footed(), []),
     (Footed(), ITEMS)],
)  # fmt: skip
def test_a_stream_does_not_end_without_what_it_declares(
    synapse: StreamingSynapse, models: list[BaseModel]
) -> None:
    encoder = synapse.chunk_encoder()
    for model in models:
        encoder.encode(model)
    with pytest.raises(StreamMisuse):
        encoder.finish()


def test_models_that_extend_each_other_are_told_apart() -> None:
    class Start(BaseModel):
        title: str = ""

    class Step(Start):
        text: str = ""

    class LongStep(Step):
        more: str = ""

    class Finish(Step):
        count: int = 0

    class Steps(TypedStream[Step, Start, Finish]):
        pass

    encoder = Steps().chunk_encoder()
    chunks = [encoder.encode(model) for model in (Start(), Step(), LongStep(), Finish())]
    assert [chunk[0] for chunk in chunks] == [2, 3, 3, 4]


async def test_items_are_yielded_and_header_and_footer_kept() -> None:
    synapse = Full()
    assert await read(synapse, full_stream()) == ITEMS
    assert (synapse.items, synapse.header, synapse.footer) == (ITEMS, HEADER, FOOTER)


async def test_the_header_is_there_with_the_first_item() -> None:
    synapse = Full()
    async for _ in synapse.process_streaming_response(reply(full_stream())):
        assert synapse.header == HEADER
        assert synapse.footer is None


@given(st.data())
async def test_chunks_need_not_be_whole_frames(draw: st.DataObject) -> None:
    """As in `raw` mode, which keeps no borders."""
    data = b"".join(full_stream())
    size = draw.draw(st.integers(1, len(data)))
    synapse = Full()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert await read(synapse, pieces) == ITEMS
    assert synapse.footer == FOOTER


@pytest.mark.parametrize(
    ("chunks", "kept"),
    [
        (full_stream()[:-1], 2),
        (full_stream()[1:], 0),
        ([], 0),
        ([*full_stream()[:2], b"\x03\0\0\0\x0a{\"text\":5}"], 1),
        ([*full_stream()[:2], b"\x03\0\0\0\x0d{\"other\":\"x\"}"], 1),
        ([*full_stream()[:2], b"\x09\0\0\0\0"], 1),
        ([*full_stream()[:2], full_stream()[0]], 1),
        ([*full_stream()[:2], full_stream()[2][:-1]], 1),
        ([*full_stream()[:3], b"\x04\0\0\0\x02{}"], 2),
        ([b"plain text"], 0),
    ],
    ids=["no footer", "no header", "nothing", "wrong type", "wrong field", "unknown kind",
         "header again", "cut", "wrong footer", "text"],
)  # fmt: skip
async def test_what_does_not_fit_is_told_and_what_arrived_is_kept(
    chunks: list[bytes], kept: int
) -> None:
    synapse = Full()
    with pytest.raises(BadStream):
        await read(synapse, chunks)
    assert synapse.items == ITEMS[:kept]
    assert synapse.footer is None
    assert (synapse.header == HEADER) == bool(kept)


async def test_a_stream_that_broke_off_in_a_frame_is_a_cut_stream() -> None:
    data = b"".join(full_stream())
    with pytest.raises(CutStream):
        await read(Full(), [data[:-1]])


def test_models_are_what_it_holds_in_order() -> None:
    assert list(Full(items=ITEMS, header=HEADER, footer=FOOTER).models()) == [
        HEADER, *ITEMS, FOOTER,
    ]  # fmt: skip
    assert list(Full().models()) == []
