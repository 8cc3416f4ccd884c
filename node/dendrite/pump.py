"""Reading one streamed reply ahead of whoever iterates it, a bounded amount.

The pump's task sends the request and reads until its buffer is full; then it stops reading, so
the peer is held back by TCP, and the peer's clocks stand still. Arrival times are taken here, so
they are the peer's doing even when the caller reads its streams one after another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

import aiohttp

from node.errors import BadReceipt, BadReply, CallError, StreamInterrupted
from node.network import Peer
from node.streams import FrameKind, StreamDecoder, StreamMode, decoder_for
from node.wire import DIGEST_HEADER, DigestName, Receipt, ReplyDigest

from .deadlines import PhaseClock
from .latch import Latch
from .receipts import checked_receipt
from .request import Outbound
from .session import CallTrace
from .startline import StartLine
from .timing import StreamTiming
from .translate import parse_document, refusal, translated
from .turn import Turn
from .unary import read_reply
from .voices import Asking

__all__ = ["Pump", "ReplyLimits"]

_HIGH_WATER_BYTES = 256 * 1024
_LOW_WATER_BYTES = 64 * 1024
# At the default pace of one every 10 s this is nearly three hours without a chunk.
_MAX_HEARTBEATS = 1000
_CLOSED = "its reader closed the stream"


class ReplyLimits:
    """The largest things that a dendrite takes from a peer.

    Args:
        reply_bytes: Longest unary reply, 64 MiB by default.
        frame_bytes: Longest chunk of a stream, 16 MiB by default.
    """

    __slots__ = ("frame_bytes", "reply_bytes")

    def __init__(self, *, reply_bytes: int = 64 * 2**20, frame_bytes: int = 16 * 2**20) -> None:
        self.reply_bytes = reply_bytes
        self.frame_bytes = frame_bytes


class Pump:
    """One streamed reply on its way.

    `start` makes the task, which its dendrite owns; `cancel` or the end of the reply ends it.

    Args:
        outbound: What the request goes through.
        peer: Whom to ask.
        asking: What to ask.
        limits: Largest things that are taken.
        turn: What lets the request go, and is told how it went.
        line: Where it waits for others to be ready, or None.

    Attributes:
        timing: When things happened.
        sent: Set when the request has been written, or the pump has ended.
        headers: Of the reply, once it began.
        document: The body, when the peer answered with one JSON document instead of a stream.
        receipt: The peer's receipt, checked, once it came.
    """

    def __init__(
        self,
        outbound: Outbound,
        peer: Peer,
        asking: Asking,
        limits: ReplyLimits,
        turn: Turn,
        line: StartLine | None = None,
    ) -> None:
        self._outbound = outbound
        self._peer = peer
        self._asking = asking
        self._limits = limits
        self._clock = PhaseClock(asking.deadlines)
        self.timing = StreamTiming()
        self._turn = turn
        self.sent = Latch()
        self._trace = CallTrace(self._clock, self.timing, line, self.sent)
        self.headers: Mapping[str, str] = {}
        self.document: bytes | None = None
        self.receipt: Receipt | None = None
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._full = False
        self._ended = False
        self._error: Exception | None = None
        self._digest = ReplyDigest()
        self._heartbeats = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def request(self) -> bytes:
        """What was signed; b"" until then."""
        return self._trace.request

    def start(self) -> asyncio.Task[None]:
        """Start reading; the caller keeps the task."""
        self._task = asyncio.create_task(self._run(), name=f"stream from {self._peer}")
        self._task.add_done_callback(self._end_unstarted)
        return self._task

    def cancel(self) -> None:
        """Close the connection, unless the reply is complete; safe to call twice."""
        if self._task is not None and not self._ended:
            self._task.cancel()

    async def closed(self) -> None:
        """Wait until the connection is closed or handed back."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def opened(self) -> None:
        """Wait until the reply's headers are there, or the pump has ended."""
        while not (self.headers or self._ended or self._chunks):
            self._arrived.clear()
            await self._arrived.wait()

    async def read(self) -> bytes:
        """Return the next chunk, or b"" when the stream is complete.

        Raises:
            CallError: The stream failed; every further read raises the same.
        """
        while not (chunk := self.ready()):
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        return chunk

    def ready(self) -> bytes:
        """Return the next chunk if it has come, else b""."""
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk)
        if self._full and self._held_bytes <= _LOW_WATER_BYTES:
            self._full = False
            self._room.set()
        return chunk

    async def _run(self) -> None:
        error: Exception | None = None
        try:
            async with self._turn:
                self.timing.restart()
                with translated(self._peer, self._clock, self.timing):
                    await self._exchange()
        except Exception as raised:  # noqa: BLE001  border: whoever reads the stream raises it
            error = raised
        except asyncio.CancelledError:
            error = StreamInterrupted(_CLOSED, chunks=self.timing.chunks, peer=str(self._peer))
            raise
        finally:
            self._end(error)

    def _end_unstarted(self, _task: asyncio.Task[None]) -> None:
        """End a pump that was cancelled before its first step, which no `finally` sees."""
        if not self._ended:
            self._end(StreamInterrupted(_CLOSED, chunks=0, peer=str(self._peer)))

    async def _exchange(self) -> None:
        async with self._clock.waiting("connect"):
            response, question = await self._outbound.send(self._peer, self._asking, self._trace)
        try:
            self._turn.answered()
            self.headers = {name.lower(): value for name, value in response.headers.items()}
            self._arrived.set()
            if response.content_type == "application/json":
                async with self._clock.waiting("idle"):
                    self.document, self.receipt = await read_reply(
                        response, self._peer, self._limits.reply_bytes, self._trace
                    )
            else:
                mode = question.mode or StreamMode.FRAMES
                decoder = self._decoder_of(mode, response.content_type)
                await self._read_all(decoder, response.content)
        except BaseException:
            # Closing, not releasing: the peer learns at once that nobody listens any more.
            response.close()
            raise
        response.release()

    def _decoder_of(self, mode: StreamMode, content_type: str) -> StreamDecoder:
        if content_type != mode.content_type:
            raise BadReply(
                f"it sent {content_type}, not a stream in {mode} mode", peer=str(self._peer)
            )
        return decoder_for(mode, max_frame_bytes=self._limits.frame_bytes)

    async def _read_all(self, decoder: StreamDecoder, content: aiohttp.StreamReader) -> None:
        self._digest = self._digest_of_head()
        while True:
            if self._full:
                self._room.clear()
                await self._room.wait()
            data = content.read_nowait()
            if not data and not content.at_eof():
                async with self._clock.waiting("idle" if self.timing.chunks else "first_byte"):
                    data = await content.readany()
            if not data:
                break
            self._take(decoder, data)
        if not decoder.closed:
            raise StreamInterrupted(
                "the stream broke off before its END",
                chunks=self.timing.chunks,
                peer=str(self._peer),
            )

    def _digest_of_head(self) -> ReplyDigest:
        """Return the digest that the peer chose, which need not be the one that was asked for."""
        name = self.headers.get(DIGEST_HEADER.lower(), DigestName.SHA256)
        try:
            return ReplyDigest(DigestName(name))
        except ValueError:
            raise BadReply(
                "it digests its stream in a way that is not known here", peer=str(self._peer)
            ) from None

    def _take(self, decoder: StreamDecoder, data: bytes) -> None:
        """Keep the chunks of one read, count them, and wake the reader once."""
        chunks, held = self._digest.chunks, self._held_bytes
        try:
            for kind, payloads in decoder.runs(data):
                if kind is FrameKind.CHUNK:
                    self._keep(payloads)
                else:
                    self._take_other(kind, payloads[0])
        except CallError as error:
            error.peer = error.peer or str(self._peer)
            raise
        finally:
            self.timing.count(self._digest.chunks - chunks, self._held_bytes - held)
            self._arrived.set()

    def _take_other(self, kind: FrameKind, payload: bytes) -> None:
        if kind is FrameKind.ERROR:
            raise self._read_error(payload)
        if kind is FrameKind.END:
            self._check_end(payload)
        else:
            self._count_heartbeat(payload)

    def _count_heartbeat(self, payload: bytes) -> None:
        if payload:
            raise BadReply("it sent a heartbeat that is not empty", peer=str(self._peer))
        self._heartbeats += 1
        if self._heartbeats > _MAX_HEARTBEATS:
            raise BadReply("it sends heartbeats and no chunks", peer=str(self._peer))

    def _keep(self, chunks: list[bytes]) -> None:
        if not all(chunks):
            self._keep(chunks[: chunks.index(b"")])
            raise BadReply("it sent an empty chunk", peer=str(self._peer))
        self._heartbeats = 0
        self._digest.add_all(chunks)
        self._chunks += chunks
        self._held_bytes += sum(map(len, chunks))
        self._full = self._held_bytes > _HIGH_WATER_BYTES

    def _read_error(self, payload: bytes) -> CallError:
        status = parse_document(payload).get("status")
        if not isinstance(status, int) or not 400 <= status < 600:
            status = 500
        error = refusal(str(self._peer), status, payload)
        error.retry_safe = False
        return error

    def _check_end(self, payload: bytes) -> None:
        document = parse_document(payload)
        digest, chunks = self._digest, self._digest.chunks
        if not {"chunks", digest.name} <= document.keys():
            raise BadReply(
                f"its END has no number of chunks or no {digest.name} digest",
                peer=str(self._peer),
            )
        receipt = document.get("receipt")
        if receipt is not None:
            self.receipt = checked_receipt(
                receipt,
                self._peer,
                request=self._trace.request_digest,
                reply=digest.signed_text(),
                chunks=chunks,
            )
        elif (document["chunks"], document[digest.name]) != (chunks, digest.hexdigest()):
            raise BadReceipt("its END does not match the chunks that came", peer=str(self._peer))

    def _end(self, error: Exception | None) -> None:
        line = self._trace.line
        if line is not None and self.timing.connected_s is None:
            line.withdraw()
        self._clock.close()
        self._ended = True
        self._error = error
        self.timing.total_s = self.timing.now()
        self.sent.set()
        self._arrived.set()
