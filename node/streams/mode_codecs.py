"""One encoder and one decoder for each stream mode, all in terms of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from .frames import Frame, FrameDecoder, FrameKind, encode_frame
from .modes import StreamMode
from .sse import SseDecoder, encode_event

__all__ = ["FrameEncoder", "StreamDecoder", "decoder_for", "encoder_for"]

FrameEncoder = Callable[[FrameKind, bytes, int], bytes]


class StreamDecoder(Protocol):
    """Cuts the bytes of a reply into frames."""

    @property
    def closed(self) -> bool:
        """Whether the stream may end here."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes."""


class _RawDecoder:
    """Every read is a chunk; only HTTP tells the end."""

    closed = True

    def feed(self, data: bytes) -> Iterator[Frame]:
        yield Frame(FrameKind.CHUNK, data)


def encoder_for(mode: StreamMode, *, typed: bool) -> FrameEncoder:
    """Return a function of kind, payload and number of the event that gives the bytes to send.

    In `raw` whatever is no chunk is empty. `typed` says that chunks are frames of typed streams.
    """
    if mode is StreamMode.FRAMES:
        return _encode_framed
    if mode is StreamMode.SSE:
        return partial(encode_event, typed=typed)
    return _encode_raw


def decoder_for(mode: StreamMode, *, max_frame_bytes: int) -> StreamDecoder:
    """Return a fresh decoder of a mode."""
    if mode is StreamMode.FRAMES:
        return FrameDecoder(max_frame_bytes=max_frame_bytes)
    if mode is StreamMode.SSE:
        return SseDecoder(max_frame_bytes=max_frame_bytes)
    return _RawDecoder()


def _encode_framed(kind: FrameKind, payload: bytes, number: int) -> bytes:
    return encode_frame(kind, payload)


def _encode_raw(kind: FrameKind, payload: bytes, number: int) -> bytes:
    return payload if kind is FrameKind.CHUNK else b""
