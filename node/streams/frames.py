"""The native framing of a streamed reply (docs/protocol.md §6).

A frame is a tag of five bytes, kind and big-endian payload length, and the payload. It is the tag
of typed streams (kinds 1 to 5) with kinds of its own, so neither can be mistaken for the other.
A stream is chunks and heartbeats in any order, closed by exactly one END or ERROR.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from node.errors import BadReply

__all__ = [
    "MAX_FRAME_BYTES",
    "TAG_BYTES",
    "Frame",
    "FrameDecoder",
    "FrameKind",
    "encode_frame",
]

_TAG = struct.Struct(">BI")
TAG_BYTES = _TAG.size
MAX_FRAME_BYTES = 16 * 2**20


class FrameKind(IntEnum):
    """What a frame carries."""

    CHUNK = 16
    HEARTBEAT = 17
    ERROR = 18
    END = 19


_KINDS = {int(kind): kind for kind in FrameKind}
_LAST = (FrameKind.ERROR, FrameKind.END)


class Frame(NamedTuple):
    """One frame: its kind and its payload."""

    kind: FrameKind
    payload: bytes


def encode_frame(kind: FrameKind, payload: bytes) -> bytes:
    """Return the bytes of one frame; `payload` is at most 4 GiB - 1."""
    return _TAG.pack(kind, len(payload)) + payload


class FrameDecoder:
    """Cuts a byte stream into frames, however the bytes were split on the way.

    It holds at most one unfinished frame; a declared length over the limit fails at its tag,
    before any of it is held.

    Args:
        max_frame_bytes: Longest payload that is taken, 16 MiB by default.
    """

    def __init__(self, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._held = bytearray()
        self._closed = False

    @property
    def mid_frame(self) -> bool:
        """Whether bytes of an unfinished frame are held."""
        return bool(self._held)

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
        self._held += data
        start = 0
        try:
            while len(self._held) - start >= TAG_BYTES:
                kind, end = self._read_tag(start)
                if end > len(self._held):
                    break
                payload = bytes(self._held[start + TAG_BYTES : end])
                start = end
                self._closed = kind in _LAST
                yield Frame(kind, payload)
        finally:
            del self._held[:start]
        if self._closed and self._held:
            raise BadReply("the peer sent bytes after the end of its stream")

    def _read_tag(self, start: int) -> tuple[FrameKind, int]:
        if self._closed:
            raise BadReply("the peer sent a frame after the end of its stream")
        number, length = _TAG.unpack_from(self._held, start)
        kind = _KINDS.get(number)
        if kind is None:
            raise BadReply(f"the peer sent a frame of the unknown kind {number}")
        if length > self._max:
            raise BadReply(f"the peer announced a frame of {length} bytes, over {self._max}")
        return kind, start + TAG_BYTES + length
