"""Server-sent events: what a browser sees, and every chunk back byte for byte."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from node import stream_types, stream_writer
from node.errors import BadReply
from node.streams import Frame, FrameKind
from node.streams.sse import SseDecoder, encode_event

END = Frame(FrameKind.END, b'{"chunks": 0}')
HEARTBEAT = Frame(FrameKind.HEARTBEAT, b"")
# Bytes of which some are text, some are not, and many are what SSE treats specially.
CHUNK = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.text(min_size=1, max_size=20).map(str.encode),
    st.text("\r\n\0:\u0085\u2028\ufeff dataevent{}\"\\", min_size=1).map(str.encode),
)  # fmt: skip
FRAMES = st.lists(
    st.one_of(st.builds(Frame, st.just(FrameKind.CHUNK), CHUNK), st.just(HEARTBEAT)), max_size=8
)


class Event(NamedTuple):
    name: str
    data: str
    id: str


def browser_events(stream: bytes) -> list[Event]:
    """Return what `EventSource` dispatches (WHATWG HTML, "Server-sent events", parsing)."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    events: list[Event] = []
    name, data, last_id = "", "", ""
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append(Event(name or "message", data.removesuffix("\n"), last_id))
            name, data = "", ""
        elif field == "event":
            name = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


def encode(frames: Sequence[Frame], *, typed: bool = False) -> bytes:
    """Return the events of frames, numbered as an axon numbers them."""
    written, number = b"", 0
    for kind, payload in frames:
        number += kind is not FrameKind.HEARTBEAT
        written += encode_event(kind, payload, number, typed=typed)
    return written


def decode(data: bytes, cuts: Sequence[int] = ()) -> list[Frame]:
    """Return the frames of bytes that come in pieces."""
    decoder = SseDecoder()
    found: list[Frame] = []
    borders = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(borders):
        found += decoder.feed(data[start:end])
    return found


@given(FRAMES, st.data())
def test_any_bytes_come_back_under_any_cut(frames: list[Frame], draw: st.DataObject) -> None:
    whole = encode([*frames, END])
    cuts = draw.draw(st.lists(st.integers(0, len(whole)), max_size=8))
    assert decode(whole, cuts) == [*frames, END]


@given(FRAMES)
def test_any_bytes_come_back_one_at_a_time(frames: list[Frame]) -> None:
    whole = encode([*frames, END])
    assert decode(whole, range(1, len(whole))) == [*frames, END]


@given(FRAMES)
def test_a_browser_sees_every_event_with_its_data_on_one_line(frames: list[Frame]) -> None:
    events = browser_events(encode([*frames, END]))
    chunks = [frame.payload for frame in frames if frame.kind is FrameKind.CHUNK]
    assert [event.id for event in events] == [str(n + 1) for n in range(len(chunks) + 1)]
    assert [event.name for event in events] == [
        *("chunk" if is_text(chunk) else "bytes" for chunk in chunks), "end",
    ]  # fmt: skip
    for event, chunk in zip(events, chunks, strict=False):
        text = json.loads(event.data)
        assert chunk == (text.encode() if event.name == "chunk" else base64.b64decode(text))
    assert json.loads(events[-1].data) == {"chunks": 0}


def is_text(chunk: bytes) -> bool:
    try:
        chunk.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_an_event_is_three_lines_and_an_empty_one() -> None:
    assert encode_event(FrameKind.CHUNK, "é\n".encode(), 7) == (
        'event: chunk\nid: 7\ndata: "é\\n"\n\n'.encode()
    )
    assert encode_event(FrameKind.CHUNK, b"\xff", 8) == b'event: bytes\nid: 8\ndata: "/w=="\n\n'
    assert encode_event(FrameKind.ERROR, b"{}", 9) == b"event: error\nid: 9\ndata: {}\n\n"


def test_a_browser_does_not_see_heartbeats() -> None:
    beat = encode_event(FrameKind.HEARTBEAT, b"", 3)
    assert browser_events(beat) == []
    assert decode(beat) == [HEARTBEAT]
    assert decode(b":\n\n: anything\n\n:x\n:y\n\n") == [HEARTBEAT] * 3


def test_events_as_other_nodes_may_write_them() -> None:
    """The standard allows no space after the colon, comments in an event, fields in any order."""
    chunk = Frame(FrameKind.CHUNK, b"a")
    for event in (
        b'event:chunk\nid:1\ndata:"a"\n\n',
        b'data: "a"\nevent: chunk\n\n',
        b': heartbeat\nevent: chunk\nid: 1\ndata: "a"\n\n',
        b'event: chunk\n: in between\nretry: 5\ndata: "a"\n\n',
    ):
        assert decode(event) == [chunk]
        assert [event.data for event in browser_events(event)] == ['"a"']


class Item(BaseModel):
    text: str


class Header(BaseModel):
    title: str


class Footer(BaseModel):
    count: int


TYPES = stream_types(Item, header_type=Header, footer_type=Footer)


@given(st.text(), st.lists(st.text(), max_size=4), st.data())
def test_typed_chunks_are_events_of_their_own_name(
    title: str, texts: list[str], draw: st.DataObject
) -> None:
    writer = stream_writer(TYPES)
    models: list[BaseModel] = [Header(title=title), *(Item(text=text) for text in texts)]
    chunks = [writer.yield_header(Header(title=title))]
    chunks += [writer.yield_item(Item(text=text)) for text in texts]
    chunks.append(writer.yield_footer(Footer(count=len(texts))))
    frames = [Frame(FrameKind.CHUNK, chunk) for chunk in chunks]
    whole = encode(frames, typed=True)
    cuts = draw.draw(st.lists(st.integers(0, len(whole)), max_size=8))
    assert decode(whole, cuts) == frames
    events = browser_events(whole)
    assert [event.name for event in events] == ["header", *["item"] * len(texts), "footer"]
    assert [json.loads(event.data) for event in events] == [
        *(model.model_dump() for model in models), {"count": len(texts)},
    ]  # fmt: skip


GARBAGE = {
    "nothing": b"\n\n",
    "text": b"hello\n\n",
    "HTML": b"<html>\n\n",
    "a message": b'data: "a"\n\n',
    "no data": b"event: chunk\n\n",
    "an unknown name": b'event: other\ndata: "a"\n\n',
    "a heartbeat by name": b'event: heartbeat\ndata: ""\n\n',
    "a name in capitals": b'event: CHUNK\ndata: "a"\n\n',
    "a number": b"event: chunk\ndata: 5\n\n",
    "a list": b"event: chunk\ndata: []\n\n",
    "no JSON": b"event: chunk\ndata: a\n\n",
    "half a string": b'event: chunk\ndata: "a\n\n',
    "half a character": b'event: chunk\ndata: "\\ud800"\n\n',
    "no UTF-8": b'event: chunk\ndata: "\xff"\n\n',
    "so deep": b"event: chunk\ndata: " + b"[" * 100_000 + b"\n\n",
    "a giant number": b"event: chunk\ndata: 1" + b"0" * 10_000 + b"\n\n",
    "no base64": b'event: bytes\ndata: "a"\n\n',
    "loose base64": b'event: bytes\ndata: "Y Q = ="\n\n',
    "base64 of no ASCII": 'event: bytes\ndata: "é"\n\n'.encode(),
    "data twice": b'event: chunk\ndata: "a"\ndata: "b"\n\n',
    "event twice": b'event: chunk\nevent: end\ndata: "b"\n\n',
    "a name of no text": b'event: \xff\xfe\ndata: "a"\n\n',
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_an_event_that_is_none_of_ours_is_a_bad_reply(kind: str) -> None:
    good = encode_event(FrameKind.CHUNK, b"good", 1)
    frames = SseDecoder().feed(good + GARBAGE[kind])
    assert next(frames) == (FrameKind.CHUNK, b"good")
    with pytest.raises(BadReply):
        next(frames)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_garbage_gives_frames_or_a_bad_reply(pieces: list[bytes]) -> None:
    decoder = SseDecoder(max_frame_bytes=100)
    try:
        for piece in pieces:
            list(decoder.feed(piece))
    except BadReply:
        return
    assert len(decoder._held) <= 100


@given(FRAMES, st.data())
def test_a_flipped_bit_gives_frames_or_a_bad_reply(
    frames: list[Frame], draw: st.DataObject
) -> None:
    whole = bytearray(encode([*frames, END]))
    position = draw.draw(st.integers(0, len(whole) * 8 - 1))
    whole[position // 8] ^= 1 << position % 8
    try:
        found = decode(bytes(whole))
    except BadReply:
        return
    assert all(isinstance(frame, Frame) for frame in found)


@pytest.mark.parametrize("last", [FrameKind.END, FrameKind.ERROR])
@pytest.mark.parametrize("more", [b"x", b"\n", b": heartbeat\n\n", encode([END])])
def test_nothing_follows_the_last_event(last: FrameKind, more: bytes) -> None:
    event = encode_event(last, b"{}", 1)
    together = SseDecoder()
    with pytest.raises(BadReply):
        list(together.feed(event + more))
    apart = SseDecoder()
    assert list(apart.feed(event)) == [(last, b"{}")]
    assert apart.closed
    with pytest.raises(BadReply):
        list(apart.feed(more))


def test_a_stream_is_open_until_its_last_event_is_whole() -> None:
    decoder = SseDecoder()
    event = encode([END])
    for position in range(len(event) - 1):
        assert list(decoder.feed(event[position : position + 1])) == []
        assert not decoder.closed
    assert list(decoder.feed(event[-1:])) == [END]
    assert decoder.closed


@pytest.mark.parametrize("filler", [b"x", b"data: ", b": \n", b"\n\r"])
def test_an_event_without_end_fails_before_much_is_held(filler: bytes) -> None:
    decoder = SseDecoder(max_frame_bytes=1000)
    piece = filler * 10
    with pytest.raises(BadReply, match="1000"):
        for _ in range(1000):
            list(decoder.feed(piece))
    assert len(decoder._held) <= 1000 + len(piece)


def test_events_far_over_the_limit_are_refused_however_they_come() -> None:
    event = encode_event(FrameKind.CHUNK, b"x" * 5000, 1)
    for cuts in ((), (100,), (len(event) - 1,)):
        decoder = SseDecoder(max_frame_bytes=1000)
        with pytest.raises(BadReply, match="1000"):
            borders = [0, *cuts, len(event)]
            for start, end in pairwise(borders):
                list(decoder.feed(event[start:end]))
