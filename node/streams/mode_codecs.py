"""One encoder and one decoder for each stream mode, all in terms of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Protocol

from .frames import Frame, FrameDecoder, FrameKind, encode_chunks, encode_frame
from .modes import StreamMode
from .sse import SseDecoder, encode_event

__all__ = [
    "ChunksEncoder",
    "FrameEncoder",
    "StreamDecoder",
    "chunks_encoder_for",
    "decoder_for",
    "encoder_for",
]

FrameEncoder = Callable[[FrameKind, bytes, int], bytes]
ChunksEncoder = Callable[[Sequence[bytes], int], Sequence[bytes]]


class StreamDecoder(Protocol):
    """Cuts the bytes of a reply into frames."""

    @property
    def closed(self) -> bool:
        """Whether the stream may end here."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes."""

    def runs(self, *pieces: bytes | memoryview) -> Iterator[tuple[FrameKind, list[bytes]]]:
        """As `feed` of one piece after another: kinds and payloads.

        Chunks that follow each other may be in one list.
        """


class _RawDecoder:
    """Every read is a chunk; only HTTP tells the end."""

    closed = True

    def feed(self, data: bytes) -> Iterator[Frame]:
        yield Frame(FrameKind.CHUNK, data)

    def runs(self, *pieces: bytes | memoryview) -> Iterator[tuple[FrameKind, list[bytes]]]:
        yield FrameKind.CHUNK, [bytes(data) for data in pieces]


@cache
def encoder_for(mode: StreamMode, *, typed: bool) -> FrameEncoder:
    """Return a function of kind, payload and number of the event that gives the bytes to send.

    In `raw` whatever is no chunk is empty. `typed` says that chunks are frames of typed streams.
    """
    if mode is StreamMode.FRAMES:
        return _encode_framed
    if mode is StreamMode.SSE:
        return partial(encode_event, typed=typed)
    return _encode_raw


@cache
def chunks_encoder_for(mode: StreamMode, *, typed: bool) -> ChunksEncoder:
    """Return a function of chunks and the number of the first that gives the bytes to send.

    They come in pieces to be joined, and are those that `encoder_for` gives for one chunk after
    another.
    """
    if mode is StreamMode.FRAMES:
        return _encode_framed_chunks
    if mode is StreamMode.SSE:
        return partial(_encode_events, typed=typed)
    return _as_they_are


def decoder_for(mode: StreamMode, *, max_frame_bytes: int) -> StreamDecoder:
    """Return a fresh decoder of a mode."""
    if mode is StreamMode.FRAMES:
        return FrameDecoder(max_frame_bytes=max_frame_bytes)
    if mode is StreamMode.SSE:
        return SseDecoder(max_frame_bytes=max_frame_bytes)
    return _RawDecoder()


def _encode_framed(kind: FrameKind, payload: bytes, number: int) -> bytes:
    return encode_frame(kind, payload)


def _encode_framed_chunks(chunks: Sequence[bytes], first: int) -> Sequence[bytes]:
    return encode_chunks(chunks)


def _encode_events(chunks: Sequence[bytes], first: int, *, typed: bool) -> Sequence[bytes]:
    numbered = enumerate(chunks, first)
    return [encode_event(FrameKind.CHUNK, c, n, typed=typed) for n, c in numbered]


def _as_they_are(chunks: Sequence[bytes], first: int) -> Sequence[bytes]:
    return chunks


def _encode_raw(kind: FrameKind, payload: bytes, number: int) -> bytes:
    return payload if kind is FrameKind.CHUNK else b""
