"""Writing a streamed reply in the mode that the request chose (docs/protocol.md §6).

The status line leaves with the first chunk, so a forward that fails before it is still answered
with an error status. After it, a failure is told in the stream: as an ERROR frame in `frames`,
and in `raw`, which has no frames, by cutting the connection without the last HTTP chunk.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod

from aiohttp import web

from node.errors import WireError
from node.streams import FrameKind, StreamMode, encode_frame

from .reply import SERVER_NAME, error_document

__all__ = ["ReplyWriter", "open_writer"]


class ReplyWriter(ABC):
    """Writes one streamed reply.

    Args:
        request: The request that it answers.
        mode: How its chunks travel.
    """

    def __init__(self, request: web.BaseRequest, mode: StreamMode) -> None:
        self._request = request
        self.response = web.StreamResponse(
            headers={
                "Content-Type": mode.content_type,
                "Cache-Control": "no-store",
                "Server": SERVER_NAME,
            }
        )
        self.response.enable_chunked_encoding()
        self.chunks = 0
        self.bytes = 0

    @property
    def started(self) -> bool:
        """Whether the status line has left."""
        return self.response.prepared

    async def write(self, chunk: bytes) -> None:
        """Send one chunk; waits while the reader is slow. An empty chunk is not sent.

        Raises:
            ConnectionError: The reader has gone.
        """
        if not chunk:
            return
        if not self.response.prepared:
            await self.response.prepare(self._request)
        self.chunks += 1
        self.bytes += len(chunk)
        await self.response.write(self._encode(chunk))

    async def finish(self) -> None:
        """End the stream as complete."""
        if not self.response.prepared:
            await self.response.prepare(self._request)
        await self.response.write_eof(self._ending())

    @abstractmethod
    async def fail(self, error: WireError) -> None:
        """End a started stream as failed."""

    @abstractmethod
    def _encode(self, chunk: bytes) -> bytes:
        """Return a chunk as it travels."""

    @abstractmethod
    def _ending(self) -> bytes:
        """Return what says that the stream is complete."""


class _FramesWriter(ReplyWriter):
    def __init__(self, request: web.BaseRequest) -> None:
        super().__init__(request, StreamMode.FRAMES)
        self._digest = hashlib.sha256()

    def _encode(self, chunk: bytes) -> bytes:
        frame = encode_frame(FrameKind.CHUNK, chunk)
        self._digest.update(frame)
        return frame

    def _ending(self) -> bytes:
        document = {"chunks": self.chunks, "sha256": self._digest.hexdigest()}
        return encode_frame(FrameKind.END, json.dumps(document).encode())

    async def fail(self, error: WireError) -> None:
        document = {"status": error.status, **error_document(error)}
        frame = encode_frame(FrameKind.ERROR, json.dumps(document).encode())
        await self.response.write_eof(frame)


class _RawWriter(ReplyWriter):
    def __init__(self, request: web.BaseRequest) -> None:
        super().__init__(request, StreamMode.RAW)

    def _encode(self, chunk: bytes) -> bytes:
        return chunk

    def _ending(self) -> bytes:
        return b""

    async def fail(self, error: WireError) -> None:
        transport = self._request.transport
        if transport is not None:
            transport.abort()


def open_writer(mode: StreamMode, request: web.BaseRequest) -> ReplyWriter:
    """Return the writer for a mode."""
    return _FramesWriter(request) if mode is StreamMode.FRAMES else _RawWriter(request)
