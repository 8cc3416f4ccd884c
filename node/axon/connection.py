"""One connection of an axon: its requests in order, each in a task of its own, and their replies.

aiohttp's protocol parses, bounds what is buffered, and shuts down; here requests are answered, and
heads like the one before are not parsed again (`known_head`). Its own loop takes a task for the
connection and turns of the event loop to wake it, beside the task of each request. That one is
needed: what a forward sets in its context must not be there in the next.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from node.errors import MalformedRequest
from node.whole import WholeContent

from .known_head import HeadMemory
from .open_reply import OpenReply
from .reply import Reply, error_reply
from .request import Request
from .stall import StallGuard
from .standby import Standby

__all__ = ["Answer", "Connection", "ConnectionServer"]

Answer = Callable[[Request], Awaitable[Reply | OpenReply]]

logger = logging.getLogger(__name__)

# Joined with its head a body costs a copy; apart from it, a small one costs a packet.
_MAX_JOINED_BYTES = 64 * 1024
# As much as asyncio reads at once.
_READ_BYTES = 256 * 1024


class Connection(web.RequestHandler, asyncio.BufferedProtocol):
    """Reads requests one after another and writes their replies in the same order.

    A request starts when the body before it has ended and the reply before it has left, but for
    what a transport may hold. When the client leaves, the request in hand is cancelled if the
    server was made with `handler_cancellation`.

    Args:
        manager: The server that it is one of.
        buffer: What the socket is read into. Nothing stays in it beyond the callback that reads,
            so all connections of a server share one.
        stall_s: Seconds after which a client that takes nothing of a reply is cut off.
        changing: Headers that may have other values in the next request, as for `KnownHead.of`.
        options: As for aiohttp's `web.Server`.
    """

    __slots__ = ("_alone", "_buffer", "_context", "_heads", "_stall_s", "_standby")

    def __init__(
        self,
        manager: web.Server,
        buffer: bytearray,
        *,
        stall_s: float,
        changing: frozenset[str],
        **options: Any,
    ) -> None:
        super().__init__(manager, **options)
        self._buffer = buffer
        self._stall_s = stall_s
        self._standby: Standby | None = None
        self._alone = False
        self._heads = HeadMemory(changing)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the context that every request begins in, and start to wait for one."""
        self._context = contextvars.copy_context()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what the connection has under way; called by the loop."""
        if isinstance(self._manager, ConnectionServer) and self._manager.asked_last is self:
            self._manager.asked_last = None
        super().connection_lost(exc)

    async def start(self) -> None:
        """Do nothing; aiohttp's own waits here for requests. Ours get tasks of their own."""

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return what to read into; called by the loop."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came; called by the loop."""
        self.data_received(bytes(memoryview(self._buffer)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Parse what came, tell of a body that it breaks, and start on a request if none runs.

        A request may start when its head is whole.
        """
        if self._rests and (request := self._heads.request_in(data)) is not None:
            self._request_in_progress = True
            self._begin(Request(*request, self))
            return
        waiting = len(self._messages)
        super().data_received(data)
        self._heads.follow(data, [message for message, _ in self._messages][waiting:])
        if not self._messages:
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            self._break_body()
        if not self._request_in_progress:
            self._start_next()

    @property
    def _rests(self) -> bool:
        """Whether what comes now is the beginning of a request that is served at once."""
        return not (self._request_in_progress or self._messages or self._close or self._force_close)

    def _break_body(self) -> None:
        """Fail the body that the bytes which are no HTTP came in, if they came in one.

        It is that of the request that came last: the one before the error in the queue, or the one
        in hand if none waits. aiohttp's parser in C tells no reader of it.
        """
        if len(self._messages) > 1:
            content = self._messages[-2][1]
        elif self._current_request is not None:
            content = self._current_request.content
        else:
            return
        if not content.is_eof():
            content.set_exception(web.RequestPayloadError("it is no HTTP"))

    def force_close(self) -> None:
        """Close the connection without waiting for the request in hand; safe to call twice.

        What was written still leaves, for as long as the client takes it.
        """
        transport = self.transport
        super().force_close()
        self._guard_rest(transport)
        if self._standby is not None:
            self._standby.cancel()

    def _hang_up(self) -> None:
        """Close the connection when all that was written has left, or the client has stopped."""
        if self.transport is not None:
            self.transport.close()
            self._guard_rest(self.transport)

    def _guard_rest(self, transport: asyncio.Transport | None) -> None:
        # A closed transport keeps its socket until its client has taken what waits.
        if transport is not None and transport.get_write_buffer_size():
            StallGuard(transport, self._stall_s)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on if reading was paused; aiohttp's reader asks for it at most reads of a body."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _start_next(self) -> None:
        """Start on what came first of what waits, be it no request, if no other is in hand."""
        if self._request_in_progress or self._force_close or not self._messages:
            return
        self._request_in_progress = True
        message, content = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        if isinstance(message, RawRequestMessage):
            self._begin(Request(message, content, self))
        else:
            # Bytes that are no HTTP are a stranger's doing, and nothing to make noise about.
            logger.debug("a client sent what is no HTTP: %s", type(message.exc).__name__)
            self._refuse()

    def _begin(self, request: Request) -> None:
        """Serve a request in a task of its own, which may stand ready."""
        # Here and not in the task, before whose first step more may be received.
        self._current_request = request  # type: ignore[assignment]  # used for its `_cancel`
        assert isinstance(self._manager, ConnectionServer)
        self._alone = self._manager.asked_last is self
        self._manager.asked_last = self
        standby, self._standby = self._standby, None
        if standby is not None and standby.waits:
            self._task_handler = standby.task
            standby.begin(request)
        else:
            self._task_handler = _start(self._loop, self._serve(request))

    async def _serve(self, request: Request) -> None:
        """Answer a request, then go on with the connection or end it."""
        goes_on = False
        try:
            goes_on = await self._answer(request)
        except ConnectionError:
            pass  # the client has gone
        except Exception:
            logger.exception("a reply could not be written")
        except BaseException:
            self.force_close()
            raise
        finally:
            self._current_request = None
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
            self._task_handler = None
        if goes_on and not (self._close or self._force_close):
            self._wait_for_more()
        elif request.content.exception() is not None:
            self._linger()
        else:
            self._hang_up()

    async def _answer(self, request: Request) -> bool:
        """Answer a request and read its body to the end; return whether there may be another.

        Raises:
            ConnectionError: The client has gone.
            ValueError: A header of the reply holds what would end it.
        """
        handler = self._request_handler
        assert handler is not None
        reply: Reply | OpenReply = await handler(request)  # type: ignore[arg-type,assignment]
        # Asked once, since the body of a client that did not wait may come while the reply leaves.
        held_back = request.holds_body_back
        if isinstance(reply, OpenReply):
            goes_on = reply.ended and request.takes_chunks
        else:
            reply.closes |= held_back
            goes_on = not reply.closes
            self._write(reply, with_body=request.method != "HEAD", request=request)
        if self._paused:
            await self.drained()
        goes_on = goes_on and request.keeps_alive
        content = request.content
        if isinstance(content, WholeContent) or content.is_eof():
            return goes_on
        if held_back:
            self._end_writing()
        # Also where it is closed then: closing over unread bytes would destroy the reply.
        return await self._discard(content) and goes_on

    def _write(self, reply: Reply, *, with_body: bool, request: Request) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        closes = reply.closes or self._close or not request.keeps_alive
        head = reply.encode_head(closes=closes, old=not request.takes_chunks)
        if not with_body:
            transport.write(head)
        elif len(reply.body) <= _MAX_JOINED_BYTES:
            transport.write(head + reply.body)
        else:
            transport.write(head)
            transport.write(reply.body)

    async def drained(self) -> None:
        """Wait until the client has taken enough; one that takes nothing more is cut off.

        Raises:
            ConnectionError: The client has gone, or was cut off.
        """
        if self.transport is None:
            raise ConnectionResetError("the client has gone")
        guard = StallGuard(self.transport, self._stall_s)
        try:
            await self._drain_helper()
        finally:
            guard.stop()

    def _end_writing(self) -> None:
        """Show the client the end of the connection, while what it still sends is read.

        For a client that asked whether to send its body and is answered without it: whether it
        sends the body now is its choice, so nobody knows where its next request would begin.
        """
        if self.transport is not None and self.transport.can_write_eof():
            self.transport.write_eof()

    async def _discard(self, content: StreamReader) -> bool:
        """Read on in a body that nobody wanted, for a while; return whether it ended well.

        A client that is still sending would not see the reply if the connection was closed now.
        """
        try:
            async with asyncio.timeout(self._lingering_time):
                while not content.is_eof():
                    await content.readany()
        except TimeoutError:
            return False
        except Exception:  # noqa: BLE001  border: whatever is wrong with a body that is not read
            return False
        return True

    def _wait_for_more(self) -> None:
        """Take the next request with the next turn of the loop, or close if none comes in time."""
        if self._messages:
            self._loop.call_soon(self._start_next, context=self._context)
        elif self._alone:
            # Where several ask, one turn of the loop serves several; their replies leave together.
            self._standby = Standby(self._serve, self._context.copy())
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._wait_for_close_time()

    def _wait_for_close_time(self) -> None:
        self._keepalive_handle = self._loop.call_at(
            self._next_keepalive_close_time, self._process_keepalive
        )

    def _process_keepalive(self) -> None:
        """Close the connection if no request has begun for as long as one is waited for.

        A part of a head is none.
        """
        self._keepalive_handle = None
        if self._force_close or self._request_in_progress:
            return
        if self._loop.time() < self._next_keepalive_close_time:
            self._wait_for_close_time()
        else:
            self.force_close()

    def _refuse(self) -> None:
        """Answer what is no HTTP, and close: nobody knows where another request would begin."""
        reply = error_reply(MalformedRequest("This is no HTTP request."))
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(reply.encode_head(closes=True) + reply.body)
        self._request_in_progress = False
        self._linger()

    def _linger(self) -> None:
        """Close when the client has, or after a while in which what it sends is thrown away.

        A socket that is closed over unread bytes is reset, and what was written for it is lost.
        """
        self._messages.clear()
        self.close()  # from here on aiohttp parses nothing
        if self.transport is None or self.transport.is_closing():
            return
        self._end_writing()
        self._resume_transport_reading()
        self._next_keepalive_close_time = self._loop.time() + self._lingering_time
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        self._wait_for_close_time()


class ConnectionServer(web.Server):
    """Makes the protocol of each connection.

    Args:
        answer: Answers every request; raises nothing but ConnectionError and cancellation.
        stall_s: Seconds after which a client that takes nothing of a reply is cut off.
        changing: As for `Connection`.
        options: As for aiohttp's `web.Server`.

    Attributes:
        asked_last: The connection that a request came on last, while it is open.
    """

    def __init__(
        self, answer: Answer, *, stall_s: float, changing: frozenset[str], **options: Any
    ) -> None:
        super().__init__(answer, **options)  # type: ignore[arg-type]  # ours has its own request
        self._stall_s = stall_s
        self._changing = changing
        self._buffer = bytearray(_READ_BYTES)
        self.asked_last: Connection | None = None

    @property
    def has_unsent(self) -> bool:
        """Whether some client has not taken all that was written for it."""
        return any(one.get_write_buffer_size() for one in self._connections.values())

    def cut_unsent(self) -> None:
        """Abort the connections whose clients have not taken all; closed they would wait on."""
        for transport in list(self._connections.values()):
            if transport.get_write_buffer_size():
                transport.abort()

    async def shutdown(self, timeout: float | None = None) -> None:
        """End all connections, and leave none open.

        Args:
            timeout: Seconds for each step of ending a request that runs.
        """
        transports = list(self._connections.values())
        try:
            await super().shutdown(timeout)
        finally:
            for transport in transports:
                transport.abort()

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(
            self,
            self._buffer,
            stall_s=self._stall_s,
            changing=self._changing,
            loop=self._loop,
            **self._kwargs,
        )


def _start(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task, from Python 3.12 on at once and not with the next turn of the loop."""
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True)
    return loop.create_task(work)
