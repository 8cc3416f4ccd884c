"""Streams as server-sent events, for browsers, `EventSource` and `curl -N` (docs/protocol.md §6).

Every chunk is one event whose data is JSON on one line: `chunk` a string, `bytes` a string of
base64, and `header`, `item`, `footer` the models of a typed stream. `end` and `error` close the
stream. A comment line is a heartbeat. The decoder gives back each chunk byte for byte.

The format is that of the WHATWG HTML standard, "Server-sent events".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pydantic_core

from node.errors import BadReply

from .frames import MAX_FRAME_BYTES, Frame, FrameKind
from .schema import TAG, ItemKind

__all__ = ["SseDecoder", "encode_event"]

_KIND_NAMES = {
    ItemKind.HEADER: "header",
    ItemKind.ITEM: "item",
    ItemKind.FOOTER: "footer",
}
_KINDS = {name: kind for kind, name in _KIND_NAMES.items()}
_HEARTBEAT = b": heartbeat\n\n"


def encode_event(kind: FrameKind, payload: bytes, number: int, *, typed: bool = False) -> bytes:
    """Return the event of one frame.

    Args:
        kind: What it carries.
        payload: As of the frame.
        number: Becomes the event's id; the chunks of a stream count from 1.
        typed: Whether chunks are frames of a typed stream.
    """
    if kind is FrameKind.HEARTBEAT:
        return _HEARTBEAT
    if kind is FrameKind.CHUNK:
        name, data = _name_chunk(payload, typed=typed)
    else:
        name, data = kind.name.lower(), payload
    return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), number, data)


def _name_chunk(chunk: bytes, *, typed: bool) -> tuple[str, bytes]:
    if typed:
        # A frame of a typed stream; pydantic writes JSON on one line.
        return _KIND_NAMES[ItemKind(chunk[0])], chunk[TAG.size :]
    try:
        return "chunk", json.dumps(chunk.decode(), ensure_ascii=False).encode()
    except UnicodeDecodeError:
        return "bytes", json.dumps(base64.b64encode(chunk).decode()).encode()


class SseDecoder:
    """Cuts a byte stream of events into frames, however the bytes were split on the way.

    It holds at most one unfinished event.

    Args:
        max_frame_bytes: Longest event that is taken, 16 MiB by default.
    """

    def __init__(self, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._held = bytearray()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `end` or `error` has been seen."""
        return self._closed

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes, in order; exhaust it before the next call.

        Raises:
            BadReply: An event that is none of ours, one over the limit, or bytes after the last.
        """
        searched = max(0, len(self._held) - 1)
        self._held += data
        while (end := self._held.find(b"\n\n", searched)) >= 0:
            if self._closed or end > self._max:
                break
            block = bytes(self._held[:end])
            del self._held[: end + 2]
            searched = 0
            frame = _decode_event(block)
            self._closed = frame.kind in (FrameKind.ERROR, FrameKind.END)
            yield frame
        if self._closed and self._held:
            raise BadReply("the peer sent bytes after the end of its stream")
        if len(self._held) > self._max:
            raise BadReply(f"the peer sent an event of over {self._max} bytes")

    def runs(self, *pieces: bytes | memoryview) -> Iterator[tuple[FrameKind, list[bytes]]]:
        """As `feed` of one piece after another: kinds, and lists of one payload.

        Raises:
            BadReply: As `feed`.
        """
        for data in pieces:
            for kind, payload in self.feed(bytes(data)):
                yield kind, [payload]


def _decode_event(block: bytes) -> Frame:
    lines = [line for line in block.split(b"\n") if not line.startswith(b":")]
    if not lines:
        return Frame(FrameKind.HEARTBEAT, b"")
    fields = dict(_split_line(line) for line in lines)
    if len(fields) < len(lines):
        raise BadReply("the peer sent an event that has a field twice")
    name, data = fields.get(b"event", b"").decode("latin-1"), fields.get(b"data", b"")
    if name in ("end", "error"):
        return Frame(FrameKind[name.upper()], data)
    return Frame(FrameKind.CHUNK, _decode_chunk(name, data))


def _split_line(line: bytes) -> tuple[bytes, bytes]:
    field, _, value = line.partition(b":")
    return field, value.removeprefix(b" ")


def _decode_chunk(name: str, data: bytes) -> bytes:
    if (kind := _KINDS.get(name)) is not None:
        return TAG.pack(kind, len(data)) + data
    if name not in ("chunk", "bytes"):
        raise BadReply("the peer sent an event of an unknown name")
    try:
        text = pydantic_core.from_json(data)
        if not isinstance(text, str):
            raise BadReply("the peer sent an event whose data is no string")
        return text.encode() if name == "chunk" else base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadReply("the peer sent an event whose data can't be read") from error
