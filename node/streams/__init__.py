"""Codecs and state of streams; no sockets, no aiohttp.

`modes` names the ways in which chunks travel, `frames` is the native framing on the wire, `sse`
the same as server-sent events, `mode_codecs` picks one. `schema`, `writer` and `reader` are typed
streams of pydantic models. `pieces` cuts bytes into text at character borders, `response` is what a
synapse's hooks read.
"""

from __future__ import annotations

from .frames import MAX_FRAME_BYTES, Frame, FrameDecoder, FrameKind, encode_frame
from .mode_codecs import (
    ChunksEncoder,
    FrameEncoder,
    StreamDecoder,
    chunks_encoder_for,
    decoder_for,
    encoder_for,
)
from .modes import StreamMode
from .pieces import TextPieces
from .reader import stream_reader
from .response import ReplyContent, ReplyStream
from .schema import StreamTypes, stream_types
from .writer import stream_writer

__all__ = [
    "MAX_FRAME_BYTES",
    "ChunksEncoder",
    "Frame",
    "FrameDecoder",
    "FrameEncoder",
    "FrameKind",
    "ReplyContent",
    "ReplyStream",
    "StreamDecoder",
    "StreamMode",
    "StreamTypes",
    "TextPieces",
    "chunks_encoder_for",
    "decoder_for",
    "encode_frame",
    "encoder_for",
    "stream_reader",
    "stream_types",
    "stream_writer",
]
