"""Writing a streamed reply in the mode that the request chose (docs/protocol.md §6).

The status line leaves with the first chunk, so a forward that fails before it is still answered
with an error status. After it, a failure is told in the stream; and in `raw`, which has no way to
tell, by cutting the connection without the last HTTP chunk.

Chunks that a forward yields in one turn of the event loop, or in turns that follow each other,
leave together, in one write after the first turn without one: a write for each takes 5 us,
gathering it 0.6 us. So a chunk waits only while its own forward has more. Where that goes on,
chunks leave after a millisecond; and what comes a millisecond after the last write leaves at once.
`raw` gathers nothing, since old peers may take each read for a chunk.

A forward that never awaits, while its reader keeps up, would keep the event loop to itself for as
long as it yields; after ten milliseconds of that the others have a turn.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from node.errors import WireError
from node.streams import FrameKind, StreamMode, chunks_encoder_for, encoder_for
from node.synapse import ChunkEncoder
from node.wire import DIGEST_HEADER, DigestName, ReplyDigest

from .notary import Notary
from .open_reply import OpenReply
from .reply import error_document
from .request import Request

__all__ = ["ReplyWriter"]

_GATHER_BYTES = 256 * 1024
_GATHER_S = 0.001
_TURN_S = 0.01


class ReplyWriter:
    """Writes one streamed reply.

    Args:
        request: The request that it answers.
        mode: How its chunks travel.
        encoder: Turns what the forward yields into chunks.
        notary: Signs the END, or None.
        digest: By what its chunks are digested; the head names any but SHA-256.
        typed: Whether chunks are frames of a typed stream.
        headers: More headers for the reply.

    Attributes:
        reply: The HTTP reply.
        bytes: Bytes of the chunks so far.
        reader_gone: Whether a write failed because the reader has left.
        last_write: Loop time of the last write.
    """

    def __init__(
        self,
        request: Request,
        mode: StreamMode,
        encoder: ChunkEncoder,
        notary: Notary | None,
        *,
        digest: DigestName = DigestName.SHA256,
        typed: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._request = request
        self._mode = mode
        self._encoder = encoder
        self._notary = notary
        self._encode = encoder_for(mode, typed=typed)
        self._encode_chunks = chunks_encoder_for(mode, typed=typed)
        self._digest_name = digest
        self._digest: ReplyDigest | None = None  # made when the first chunk has left
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._taken = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._gather_s = 0.0 if mode is StreamMode.RAW else _GATHER_S
        self._flush_due = False
        self._turned_at = 0.0  # when the loop last had a turn, where a flush is due
        self._looked_at = 0
        self._flushed_at = -math.inf
        self.bytes = 0
        self.reader_gone = False
        self.last_write = self._loop.time()
        head = {
            "Content-Type": mode.content_type,
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # a proxy that gathers chunks would undo streaming
            **(headers or {}),
        }
        if digest is not DigestName.SHA256 and mode is not StreamMode.RAW:
            head[DIGEST_HEADER] = digest
        self.reply = OpenReply(request, head)

    @property
    def started(self) -> bool:
        """Whether the status line has left."""
        return self.reply.started

    @property
    def chunks(self) -> int:
        """Chunks so far."""
        return self._taken + len(self._gathered)

    async def write(self, item: Any) -> None:
        """Send what a forward yielded; waits while the reader is slow. Nothing empty is sent.

        Raises:
            StreamMisuse: It can't be a chunk of this stream, or is over 16 MiB.
            ConnectionError: The reader has gone.
        """
        chunk, now = self._encoder.encode(item), time.monotonic()
        if chunk:
            self._gathered.append(chunk)
            self._gathered_bytes += len(chunk)
            self.bytes += len(chunk)
            if not self.reply.started or self._gathered_bytes >= _GATHER_BYTES:
                self._put_gathered()
            elif now - self._flushed_at >= self._gather_s:
                self.flush()
        if not self._flush_due:
            self._flush_due, self._turned_at = True, now
            self._loop.call_soon(self._flush_when_quiet)
        if self._request.writing_paused or self.reader_gone:
            await self._drain()
        elif now - self._turned_at > _TURN_S:
            await asyncio.sleep(0)

    def flush(self) -> None:
        """Give what has gathered to the transport, without waiting; if that is closed, nobody."""
        if self._gathered:
            with suppress(ConnectionError):
                self._put_gathered()

    def beat(self) -> None:
        """Send a heartbeat, where the mode has one and the reader keeps up.

        Raises:
            ConnectionError: The reader has gone.
        """
        transport = self._request.transport
        if self._ended or transport is None or transport.get_write_buffer_size() or self._gathered:
            return
        data = self._encode(FrameKind.HEARTBEAT, b"", self.chunks)
        if data:
            self._put((data,))

    async def finish(self) -> None:
        """End the stream as complete, with its receipt.

        Raises:
            StreamMisuse: Something that was declared was not sent.
            ConnectionError: The reader has gone.
        """
        self._encoder.finish()
        chunks, first = self._take()
        raw = self._mode is StreamMode.RAW
        document = {} if raw else self._end_document(self._digest_with(chunks))
        await self._end(self._encode_chunks(chunks, first), FrameKind.END, document)

    async def fail(self, error: WireError) -> None:
        """End a started stream as failed."""
        if self._mode is StreamMode.RAW:
            self.flush()
            self.abort()
        else:
            document = {"status": error.status, **error_document(error)}
            await self._end(self._encode_chunks(*self._take()), FrameKind.ERROR, document)

    def abort(self) -> None:
        """Cut the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _end(self, rest: Sequence[bytes], kind: FrameKind, document: dict[str, Any]) -> None:
        self._ended = True
        last = self._encode(kind, json.dumps(document).encode(), self.chunks + 1)
        try:
            await self.reply.end(*rest, last)
        except ConnectionError:
            self.reader_gone = True
            raise

    def _put(self, pieces: Sequence[bytes]) -> None:
        """Give bytes to the transport.

        Raises:
            ConnectionError: The reader has gone.
        """
        try:
            self.reply.put(*pieces)
        except ConnectionError:
            self.reader_gone = True
            raise
        self.last_write = self._loop.time()

    def _put_gathered(self) -> None:
        """Give what has gathered to the transport.

        Raises:
            ConnectionError: The reader has gone.
        """
        chunks, first = self._take()
        self._put(self._encode_chunks(chunks, first))
        if self._mode is not StreamMode.RAW:  # which has no END to name a digest in
            # Only now: the reader is at work meanwhile.
            self._digest_with(chunks)

    def _digest_with(self, chunks: Sequence[bytes]) -> ReplyDigest:
        """Return the digest of the chunks that have left, when these are the last of them."""
        if self._digest is None:
            self._digest = ReplyDigest(self._digest_name)
        self._digest.add_all(chunks)
        return self._digest

    def _end_document(self, digest: ReplyDigest) -> dict[str, Any]:
        document: dict[str, Any] = {"chunks": self.chunks, digest.name: digest.hexdigest()}
        if self._notary is not None:
            receipt = self._notary.sign(digest.signed_text(), chunks=self.chunks)
            document["receipt"] = receipt.to_document()
        return document

    def _take(self) -> tuple[list[bytes], int]:
        """Return what has gathered and the number of the first; it is on its way from here on."""
        chunks, self._gathered, self._gathered_bytes, self._looked_at = self._gathered, [], 0, 0
        first = self._taken + 1
        self._taken += len(chunks)
        self._flushed_at = time.monotonic()
        return chunks, first

    def _flush_when_quiet(self) -> None:
        """Flush after a turn that brought no chunk, or when the first one has waited enough."""
        gathered, self._turned_at = len(self._gathered), time.monotonic()
        if gathered > self._looked_at and self._turned_at - self._flushed_at < self._gather_s:
            self._looked_at = gathered
            self._loop.call_soon(self._flush_when_quiet)
            return
        self._flush_due = False
        self.flush()

    async def _drain(self) -> None:
        """Wait until the reader has taken enough.

        Raises:
            ConnectionError: The reader has gone.
        """
        if self.reader_gone:
            raise ConnectionResetError("the reader has gone")
        try:
            await self._request.drained()
        except ConnectionError:
            self.reader_gone = True
            raise
