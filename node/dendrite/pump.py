"""Reading one streamed reply ahead of whoever iterates it, a bounded amount.

The reply is taken apart in the callbacks of its connection, until the buffer is full; then nothing
is read, so the peer is held back by TCP, and the peer's clocks stand still. Arrival times are
taken there, so they are the peer's doing even when the caller reads its streams one after another.

A task is needed only where something has to be waited for before the request can be written, and
for replies that are no stream. With one for every stream the first chunk took two turns of the
loop more to its reader.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from node.errors import CallError, StreamInterrupted
from node.network import Peer
from node.wire import Receipt

from .chunked import ChunkedContent, Piece
from .connection import Content
from .deadlines import PhaseClock
from .http_reply import HttpReply
from .intake import Intake
from .latch import Latch
from .reply_limits import ReplyLimits
from .request import Outbound, Written
from .session import CallTrace
from .startline import StartLine
from .timing import StreamTiming
from .translate import translate
from .turn import Turn
from .unary import read_reply
from .voices import Asking

__all__ = ["Pump"]

_HIGH_WATER_BYTES = 256 * 1024
# Pieces that are short together are joined: a call for each costs more than the copy.
_JOINED_BYTES = 16 * 1024
_LOW_WATER_BYTES = 64 * 1024
# What a chunk costs beside its bytes. Uncounted, chunks of 2 bytes would hold 20 times the limit.
_CHUNK_COST_BYTES = 48
_CLOSED = "its reader closed the stream"


class Pump:
    """One streamed reply on its way.

    `start` sends the request; `cancel` or the end of the reply ends it. Belongs to the running
    loop.

    Args:
        outbound: What the request goes through.
        peer: Whom to ask.
        asking: What to ask.
        limits: Largest things that are taken.
        turn: What lets the request go, and is told how it went.
        line: Where it waits for others to be ready, or None.
        on_end: Called once with this pump when it has ended.

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
        on_end: Callable[[Pump], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbound = outbound
        self._peer = peer
        self._asking = asking
        self._limits = limits
        self._clock = PhaseClock(asking.deadlines)
        self.timing = StreamTiming()
        self._turn = turn
        self._inside = False
        self._on_end = on_end
        self.sent = Latch()
        self._trace = CallTrace(self._clock, self.timing, line, self.sent)
        self._written: Written | None = None
        self._reply: HttpReply | None = None
        self._intake: Intake | None = None
        self._is_stream = False
        self.headers: Mapping[str, str] = {}
        self.document: bytes | None = None
        self.receipt: Receipt | None = None
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._full = False
        self._ended = False
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def request(self) -> bytes:
        """What was signed; b"" until then."""
        return self._trace.request

    def send(self) -> None:
        """Send the request: now if nothing has to be waited for, else from a task."""
        try:
            if self._trace.line is None and self._turn.enter_now():
                self._inside = True
                self.timing.restart()
                self._written = self._outbound.write_now(self._peer, self._asking, self._trace)
                if self._written is not None:
                    return
            self._asking.keep()
        except Exception as error:  # noqa: BLE001  border: whoever reads the stream raises it
            self._finish(error)
        else:
            self._run(self._open())

    def listen(self) -> None:
        """Get ready for the reply, if the request has left; in the same turn of the loop.

        Apart from `send`, so that of many requests the last one need not wait for this.
        """
        if self._written is None:
            return
        self._intake = Intake(self._peer, self._written.question, self._limits, self.request)
        self._clock.begin("first_byte", self._written.connection.time_out)
        self._written.connection.on_news = self._on_news

    def cancel(self) -> None:
        """Close the connection, unless the reply is complete; safe to call twice."""
        if self._task is not None and not self._task.done():
            if not self._ended:
                self._task.cancel()
        else:
            self._finish(asyncio.CancelledError())

    def cancel_soon(self) -> None:
        """As `cancel`, from a finaliser, which may run anywhere and in any thread."""
        if not self._ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.cancel)

    async def closed(self) -> None:
        """Wait until the connection is closed or handed back."""
        if self._task is not None:
            await asyncio.wait([self._task])
        if self._error is not None and self._written is not None:
            await self._written.connection.closed()

    async def opened(self) -> None:
        """Wait until the reply's headers are there, or the pump has ended."""
        while not (self.headers or self._ended or self._chunks):
            await self._arrival()

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
            await self._arrival()
        return chunk

    def ready(self) -> bytes:
        """Return the next chunk if it has come, else b""."""
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk) + _CHUNK_COST_BYTES
        if self._full and self._held_bytes <= _LOW_WATER_BYTES:
            self._full = False
            self._on_news()
        return chunk

    async def _arrival(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(work, name=f"stream from {self._peer}")
        self._task.add_done_callback(self._end_unstarted)

    def _end_unstarted(self, task: asyncio.Task[None]) -> None:
        """End a pump whose task was cancelled before its first step, which no `except` sees."""
        if task.cancelled():
            self._finish(asyncio.CancelledError())

    async def _open(self) -> None:
        """Send the request once its turn has come and the connection stands."""
        try:
            if not self._inside:
                await self._turn.enter()
                self._inside = True
                self.timing.restart()
            async with self._clock.waiting("connect"):
                self._written = await self._outbound.write(self._peer, self._asking, self._trace)
            if self._trace.line is not None:
                await asyncio.sleep(0)  # the others' requests go first
        except asyncio.CancelledError as error:
            self._finish(error)
            raise
        except Exception as error:  # noqa: BLE001  border: whoever reads the stream raises it
            self._finish(error)
        else:
            self.listen()
            self._on_news()  # the reply may have come, or failed, while others went

    def _on_news(self) -> None:
        """Take what has come on the connection."""
        if self._ended:
            return
        try:
            if self._reply is None:
                self._begin_reply()
            if self._is_stream and self._intake is not None:
                self._read_all(self._intake)
        except Exception as error:  # noqa: BLE001  border: whoever reads the stream raises it
            self._finish(error)

    def _begin_reply(self) -> None:
        """Look at the head of the reply, if it is there, and find out how to read the rest."""
        assert self._written is not None
        assert self._intake is not None
        reply = self._outbound.reply_on(self._written)
        if reply is None:
            return
        self._reply = reply
        self.timing.headers_s = self.timing.now()
        if reply.status == 200:
            self._outbound.check(self._peer, self._written, reply)
            self._turn.answered()
            self.headers = reply.headers
        if reply.status != 200 or reply.content_type == "application/json":
            self._written.connection.on_news = None
            self._clock.end()
            self._run(self._read_whole(reply))
            return
        self._intake.begin(reply.content_type, reply.headers)
        self._is_stream = True

    async def _read_whole(self, reply: HttpReply) -> None:
        """Read a reply that is no stream: a refusal, or the whole answer at once."""
        try:
            async with self._clock.waiting("first_byte"):
                if reply.status != 200:
                    raise await self._outbound.refusal_in(self._peer, reply, self._clock)
                self.document, self.receipt = await read_reply(
                    reply, self._peer, self._limits.reply_bytes, self._trace
                )
        except asyncio.CancelledError as error:
            self._finish(error)
            raise
        except Exception as error:  # noqa: BLE001  border: whoever reads the stream raises it
            self._finish(error)
        else:
            self._finish(None)

    def _read_all(self, intake: Intake) -> None:
        """Take all that has come, as far as there is room for it."""
        assert self._reply is not None
        content = self._reply.content
        while not self._full:
            pieces = _pieces_of(content)
            if pieces:
                self._take(intake, pieces)
            elif content.at_eof():
                intake.check_closed()
                self.receipt = intake.receipt
                self._finish(None)
                return
            else:
                self._clock.enter("idle" if self.timing.chunks else "first_byte")
                return
        self._clock.pause()

    def _take(self, intake: Intake, pieces: Sequence[Piece]) -> None:
        """Keep the chunks of one read, count them, and wake the reader once."""
        chunks, size = intake.chunks, 0
        try:
            for run in intake.take(pieces):
                size += self._keep(run)
        except CallError as error:
            error.peer = error.peer or str(self._peer)
            raise
        finally:
            self.timing.count(intake.chunks - chunks, size)
            self._wake()

    def _keep(self, chunks: list[bytes]) -> int:
        """Queue chunks, and return how many bytes they have."""
        size = sum(map(len, chunks))
        self._chunks += chunks
        self._held_bytes += size + len(chunks) * _CHUNK_COST_BYTES
        self._full = self._held_bytes > _HIGH_WATER_BYTES
        return size

    def _finish(self, error: BaseException | None) -> None:
        """End the pump, with an error or without, and the exchange with it."""
        if self._ended:
            return
        if error is not None:
            error = translate(error, self._peer, self._clock, self.timing)
        self._ended = True
        self._intake = None  # it may hold much of a frame that never came whole
        self._clock.close()
        self._give_back(whole=error is None)
        if self._inside:
            self._turn.leave(error)
        line = self._trace.line
        if line is not None and self.timing.connected_s is None:
            line.withdraw()
        if isinstance(error, asyncio.CancelledError):
            error = StreamInterrupted(_CLOSED, chunks=self.timing.chunks, peer=str(self._peer))
        if isinstance(error, CallError):
            _forget_frames(error)
        self._error = error
        self.timing.total_s = self.timing.now()
        self.sent.set()
        self._wake()
        if self._on_end is not None:
            self._on_end(self)

    def _give_back(self, *, whole: bool) -> None:
        """Hand the connection back; closed, not kept, if somebody left before the end of a reply.

        So the peer learns at once that nobody listens any more.
        """
        if self._reply is None:
            if self._written is not None:
                self._outbound.drop(self._written)
        elif whole:
            self._reply.release()
        else:
            self._reply.close()


def _pieces_of(content: Content) -> Sequence[Piece]:
    """Return what has come of a reply's content, in order; nothing when nothing has."""
    if not isinstance(content, ChunkedContent):
        data = content.read_nowait()
        return (data,) if data else ()
    held = content.held
    pieces = content.take()
    return (b"".join(pieces),) if len(pieces) > 1 and held <= _JOINED_BYTES else pieces


def _forget_frames(error: BaseException | None) -> None:
    """Drop where an error that is kept came from: those frames hold what was being read."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
