"""The native framing of a streamed reply (docs/protocol.md §6).

A frame is a tag of five bytes, kind and big-endian payload length, and the payload. It is the tag
of typed streams (kinds 1 to 5) with kinds of its own, so neither can be mistaken for the other.
A stream is chunks and heartbeats in any order, closed by exactly one END or ERROR.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from node.errors import BadReply

__all__ = [
    "MAX_FRAME_BYTES",
    "TAG_BYTES",
    "Frame",
    "FrameDecoder",
    "FrameKind",
    "encode_chunks",
    "encode_frame",
]

_TAG = struct.Struct(">BI")
TAG_BYTES = _TAG.size
MAX_FRAME_BYTES = 16 * 2**20
# Shorter parts of a payload are gathered in one buffer: an object for each byte that a peer drips
# would cost 40 times what it holds.
_PART_BYTES = 4096


class FrameKind(IntEnum):
    """What a frame carries."""

    CHUNK = 16
    HEARTBEAT = 17
    ERROR = 18
    END = 19


_KINDS = {int(kind): kind for kind in FrameKind}
_LAST = (FrameKind.ERROR, FrameKind.END)
_CHUNK = int(FrameKind.CHUNK)


class Frame(NamedTuple):
    """One frame: its kind and its payload."""

    kind: FrameKind
    payload: bytes


def encode_frame(kind: FrameKind, payload: bytes) -> bytes:
    """Return the bytes of one frame; `payload` is at most 4 GiB - 1."""
    return _TAG.pack(kind, len(payload)) + payload


def encode_chunks(payloads: Sequence[bytes]) -> list[bytes]:
    """Return, in pieces to be joined, the bytes of a CHUNK frame for each payload, in order.

    Whoever sends them joins them with what is around them, so a long payload is copied once.
    """
    pack = _TAG.pack
    pieces: list[bytes] = []
    for payload in payloads:
        tag = pack(FrameKind.CHUNK, len(payload))
        if len(payload) < _PART_BYTES:
            pieces.append(tag + payload)
        else:
            pieces += (tag, payload)
    return pieces


class FrameDecoder:
    """Cuts a byte stream into frames, however the bytes were split on the way.

    It holds at most one unfinished frame; a declared length over the limit fails at its tag,
    before any of it is held.

    Args:
        max_frame_bytes: Longest payload that is taken, 16 MiB by default.
    """

    def __init__(self, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._closed = False
        self._tag = b""  # of a frame whose tag is not whole
        self._kind: FrameKind | None = None  # of a frame whose payload is not whole
        self._held: list[bytes | bytearray] = []
        self._missing = 0

    @property
    def mid_frame(self) -> bool:
        """Whether bytes of an unfinished frame are held."""
        return bool(self._tag) or self._kind is not None

    @property
    def closed(self) -> bool:
        """Whether END or ERROR has been seen."""
        return self._closed

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes, in order; exhaust it before the next call.

        Raises:
            BadReply: An unknown kind, a length over the limit, or bytes after the last frame,
                once the good frames before it were yielded. The decoder can't be used further.
        """
        for kind, payloads in self.runs(data):
            for payload in payloads:
                yield Frame(kind, payload)

    def runs(self, *pieces: bytes | memoryview) -> Iterator[tuple[FrameKind, list[bytes]]]:
        """As `feed` of one piece after another, with chunks that follow each other in one list.

        That takes 0.3 us for a chunk, where a frame each takes 1.3. Nothing of a view is kept, so
        what it shows may change afterwards. Only long frames are cut out of it: cutting small ones
        takes longer than copying all of it does.

        Raises:
            BadReply: As for `feed`.
        """
        chunks: list[bytes] = []
        for piece in pieces:
            data, start = piece, 0
            if type(data) is memoryview and not self._begins_long(data):
                data = bytes(data)
            if self._kind is not None:
                if len(data) < self._missing:
                    self._hold(data)
                    continue
                start = self._missing
                kind, payload = self._kind, self._joined(data)
                if kind is FrameKind.CHUNK:
                    chunks.append(payload)
                else:
                    yield self._lone(kind, payload)
            elif self._tag:
                data = b"".join((self._tag, data))
                self._tag = b""
            size = len(data)
            while size - start >= TAG_BYTES:
                number, length = _TAG.unpack_from(data, start)
                begin = start + TAG_BYTES
                start = end = begin + length
                if number == _CHUNK and length <= self._max and not self._closed:
                    if end <= size:
                        cut = data[begin:end]
                        chunks.append(cut if type(cut) is bytes else bytes(cut))
                        continue
                    kind = FrameKind.CHUNK
                else:
                    if chunks:
                        yield FrameKind.CHUNK, chunks
                        chunks = []
                    kind = self._checked(number, length)
                    if end <= size:
                        yield self._lone(kind, bytes(data[begin:end]))
                        continue
                self._kind, self._missing, start = kind, length, size
                self._hold(data[begin:])
            self._tag = bytes(data[start:])
            if self._closed and self._tag:
                raise BadReply("the peer sent bytes after the end of its stream")
        if chunks:
            yield FrameKind.CHUNK, chunks

    def _begins_long(self, view: memoryview) -> bool:
        """Tell whether a long part of a frame is what a view begins with."""
        if self._kind is not None:
            return self._missing >= _PART_BYTES
        if self._tag or len(view) < TAG_BYTES:
            return False
        _, length = _TAG.unpack_from(view)
        return bool(length >= _PART_BYTES)

    def _joined(self, data: bytes | memoryview) -> bytes:
        """Return the payload of the frame that `data` completes."""
        payload = b"".join((*self._held, memoryview(data)[: self._missing]))
        self._kind, self._held, self._missing = None, [], 0
        return payload

    def _hold(self, data: bytes | memoryview) -> None:
        """Keep a part of an unfinished payload; a long one is copied once before it is joined."""
        self._missing -= len(data)
        if len(data) >= _PART_BYTES:
            self._held.append(bytes(data))
        elif self._held and isinstance(self._held[-1], bytearray):
            self._held[-1] += data
        else:
            self._held.append(bytearray(data))

    def _lone(self, kind: FrameKind, payload: bytes) -> tuple[FrameKind, list[bytes]]:
        self._closed = kind in _LAST
        return kind, [payload]

    def _checked(self, number: int, length: int) -> FrameKind:
        if self._closed:
            raise BadReply("the peer sent a frame after the end of its stream")
        kind = _KINDS.get(number)
        if kind is None:
            raise BadReply(f"the peer sent a frame of the unknown kind {number}")
        if length > self._max:
            raise BadReply(f"the peer announced a frame of {length} bytes, over {self._max}")
        return kind
