"""Codecs and state of streams; no sockets, no aiohttp.

`modes` names the ways in which chunks travel, `frames` is the native framing on the wire,
`schema`, `writer` and `reader` are typed streams of pydantic models,
`pieces` cuts bytes into text at character borders, `response` is what a synapse's hooks read.
"""

from __future__ import annotations

from .frames import Frame, FrameDecoder, FrameKind, encode_frame
from .modes import StreamMode
from .pieces import TextPieces
from .reader import stream_reader
from .response import ReplyContent, ReplyStream
from .schema import StreamTypes, stream_types
from .writer import stream_writer

__all__ = [
    "Frame",
    "FrameDecoder",
    "FrameKind",
    "ReplyContent",
    "ReplyStream",
    "StreamMode",
    "StreamTypes",
    "TextPieces",
    "encode_frame",
    "stream_reader",
    "stream_types",
    "stream_writer",
]
