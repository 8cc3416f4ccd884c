"""Codecs and state of streams; no sockets, no aiohttp.

`modes` names the ways in which chunks travel, `frames` is the native framing on the wire,
`pieces` cuts bytes into text at character borders, `response` is what a synapse's hooks read.
"""

from __future__ import annotations

from .frames import Frame, FrameDecoder, FrameKind, encode_frame
from .modes import StreamMode
from .pieces import TextPieces
from .response import ReplyContent, ReplyStream

__all__ = [
    "Frame",
    "FrameDecoder",
    "FrameKind",
    "ReplyContent",
    "ReplyStream",
    "StreamMode",
    "TextPieces",
    "encode_frame",
]
