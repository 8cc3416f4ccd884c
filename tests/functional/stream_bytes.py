"""Streamed replies as bytes, in either native mode, for peers played over plain sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from node.streams import FrameKind, StreamMode, encoder_for
from node.wire import ReplyDigest
from tests.raw_http import Script, chunked, read_request, reply_head

__all__ = ["NATIVE", "StreamBytes", "chunked_reply", "end_payload", "sends", "sized_reply"]

NATIVE = [StreamMode.FRAMES, StreamMode.SSE]


def end_payload(chunks: Sequence[bytes], /, **changes: Any) -> bytes:
    """Return the document of a right END, except for what is changed; None leaves a key out."""
    digest = ReplyDigest()
    for chunk in chunks:
        digest.add(chunk)
    document = {"chunks": len(chunks), "sha256": digest.hexdigest(), **changes}
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


class StreamBytes:
    """Writes frames in one mode, numbered as an axon numbers them."""

    def __init__(self, mode: StreamMode) -> None:
        self._encode = encoder_for(mode, typed=False)
        self._number = 0

    def frame(self, kind: FrameKind, payload: bytes = b"") -> bytes:
        self._number += 1
        return self._encode(kind, payload, self._number)

    def chunk(self, chunk: bytes) -> bytes:
        return self.frame(FrameKind.CHUNK, chunk)

    def beat(self) -> bytes:
        return self.frame(FrameKind.HEARTBEAT)

    def end(self, *chunks: bytes, **changes: Any) -> bytes:
        return self.frame(FrameKind.END, end_payload(chunks, **changes))

    def whole(self, *chunks: bytes) -> bytes:
        return b"".join(map(self.chunk, chunks)) + self.end(*chunks)


def sized_reply(mode: StreamMode, body: bytes, length: int | None = None) -> bytes:
    """Return a reply with a Content-Length, which is right unless another is given."""
    size = len(body) if length is None else length
    return reply_head(mode.content_type, f"Content-Length: {size}") + body


def chunked_reply(mode: StreamMode, *pieces: bytes, end: bool = True) -> bytes:
    """Return a reply in HTTP's chunked framing, with or without the last chunk."""
    return reply_head(mode.content_type, "Transfer-Encoding: chunked") + chunked(*pieces, end=end)


def sends(*pieces: bytes, pause_s: float = 0.0, hold: bool = False) -> Script:
    """Return the script of a peer that reads a request and sends some bytes.

    Args:
        *pieces: What to send.
        pause_s: Seconds between two pieces.
        hold: Whether it then keeps the connection open and silent.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if hold:
            await asyncio.sleep(60)

    return script
