"""One connection to a peer: a request goes out on it, its reply comes in, then the next.

Rule: this file knows HTTP, and no peers, signatures or pools.

Replies are read by aiohttp's parser, and its `StreamReader` holds their content and holds the peer
back; of a stream the parser reads the head only (`chunked`), and a head that came on the connection
just before is not read again (`known_head`). The protocol between the two is ours:
aiohttp's serves proxies, upgrades and read timeouts too, and took 15 us of a call for them.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Container
from typing import Any

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpParser, HttpResponseParser, RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from node.wake import Wake
from node.whole import HEAD_END, WholeContent

from .chunked import ChunkedContent, Read
from .known_head import KnownHead

__all__ = ["Connection", "Content"]

Content = StreamReader | ChunkedContent | WholeContent

# Half of what is held before the peer is held back.
_LOW_WATER_BYTES = 64 * 1024
# Joined with its head a body costs a copy; apart from it, a small one costs a packet.
_MAX_JOINED_BYTES = 64 * 1024
# Of what was read up to so much a copy costs less than working with views does.
_COPIED_BYTES = 16 * 1024
_SWITCHING = 101
_BODILESS = (204, 304)
# Where aiohttp's parser in C is missing; the other does not tell all at the end.
_IN_PYTHON = issubclass(HttpResponseParser, HttpParser)


class Connection(BaseProtocol, asyncio.BufferedProtocol):
    """Carries one request at a time.

    `ask` begins an exchange; then `replied`, or `on_news` and `reply`, give what came. `finish` or
    `close` ends the exchange, whatever came.

    Args:
        loop: The running loop.
        buffer: What the socket is read into. Nothing stays in it beyond the callback that reads,
            so all connections of a loop may share one.

    Attributes:
        on_news: Called when the head of the reply, more of its content, its end or an error has
            come, within the callback of the socket; must not raise. Not called for what a reader
            of the content brings about itself: a read may let held data in, so whoever reads goes
            on until nothing is left.
        kept_at: When the connection became free, by the loop's clock; for whoever keeps it.
    """

    __slots__ = (
        "_buffer",
        "_content",
        "_error",
        "_fresh",
        "_gone",
        "_known",
        "_message",
        "_poll",
        "_spoilt",
        "_streams",
        "_waiter",
        "kept_at",
        "on_news",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: bytearray) -> None:
        super().__init__(loop)
        self._buffer = buffer
        self.on_news: Callable[[], None] | None = None
        self.kept_at = 0.0
        self._message: RawResponseMessage | None = None
        self._content: Content | None = None
        self._streams: Container[str] = ()
        self._fresh = False
        self._known: KnownHead | None = None
        self._error: BaseException | None = None
        self._spoilt = False
        self._waiter: asyncio.Future[None] | None = None
        self._poll: select.poll | None = None
        self._gone: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "busy" if self._parser is not None else "idle"
        return f"<Connection {state if self.transport is not None else 'closed'}>"

    def ask(self, head: bytes, body: bytes, streams: Container[str] = ()) -> None:
        """Write a request; at once, where the socket takes it.

        Args:
            head: With the empty line that ends it.
            body: As long as the head says.
            streams: Media types of replies whose content, if it is chunked and its head comes in
                one piece, becomes a `ChunkedContent`; every other is aiohttp's `StreamReader`.

        Raises:
            aiohttp.ClientConnectionResetError: The connection was closed.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("closed while it waited to be used")
        if len(body) <= _MAX_JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        # Afterwards: it takes no less time, but the peer is at work meanwhile.
        self._parser = HttpResponseParser(
            self,
            self._loop,
            _LOW_WATER_BYTES,
            payload_exception=aiohttp.ClientPayloadError,
            read_until_eof=True,
            auto_decompress=False,
        )
        self._streams = streams
        self._fresh = True

    def reply(self) -> tuple[RawResponseMessage, Content] | None:
        """Return head and content of the reply, or None while the head has not come.

        The content may still be under way; it raises what ends it early.

        Raises:
            aiohttp.ClientError: The connection closed before the head.
            HttpProcessingError: What came is no HTTP.
            BaseException: What `fail` was given.
        """
        if self._error is not None:
            raise self._error
        if self._message is None or self._content is None:
            return None
        return self._message, self._content

    async def replied(self, *, at_once: bool = False) -> tuple[RawResponseMessage, Content]:
        """Wait for the head of the reply; returns and raises as `reply`.

        Args:
            at_once: Whether to go on within the callback of the socket. Else it is with the next
                turn of the loop, so that replies which come together are read together, and the
                requests that follow them leave together.
        """
        while (reply := self.reply()) is None:
            self._waiter = Wake(self._loop) if at_once else self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return reply

    def finish(self) -> bool:
        """End the exchange; tells whether the connection can carry another, else it is closed.

        It can when the reply was read to its end and neither side has said that it will close,
        nor has anything come beyond the reply, nor was it answered before all of the request had
        been taken.
        """
        if self._can_go_on():
            self._parser = self._message = self._content = self.on_news = None
            return True
        self.close()
        return False

    def fail(self, error: BaseException) -> None:
        """Close, and let whoever waits for the reply or its content get this error."""
        self._parser = None
        if self._content is None:
            self._error = error
        elif not self._content.is_eof():
            self._content.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
        self._tell()

    def time_out(self) -> None:
        """Let whoever waits for the reply or its content get TimeoutError, and close."""
        self.fail(TimeoutError())

    def close(self) -> None:
        """Close at once; the peer learns that nobody listens. Safe to call twice."""
        self._parser = self._message = self._content = self.on_news = None
        self._error = None  # it refers to frames that refer to this
        if self.transport is not None:
            # Not `close`, which would first send what is left of a request.
            self.transport.abort()

    async def closed(self) -> None:
        """Wait until the socket is closed."""
        if self.transport is not None:
            if self._gone is None:
                self._gone = self._loop.create_future()
            await asyncio.shield(self._gone)

    def has_ended(self) -> bool:
        """Tell whether the peer has closed an idle connection, which the loop may not know yet.

        A request that is written to such a one is lost, and must not be sent again by itself.
        What an idle connection says unasked ends it too.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return True
        return self._poll is not None and bool(self._poll.poll(0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport; called by the loop."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Return what to read into; called by the loop."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came; called by the loop."""
        if nbytes > _COPIED_BYTES and isinstance(self._content, ChunkedContent):
            self._receive(self._buffer, nbytes)
        else:
            self._receive(bytes(memoryview(self._buffer)[:nbytes]), nbytes)

    def data_received(self, data: bytes) -> None:
        """Parse what came; called by aiohttp, and without data when a reader made room."""
        self._receive(data, len(data))

    def _receive(self, data: Read, size: int) -> None:
        parser = self._parser
        if parser is None:
            if size and self.transport is not None:
                self.transport.abort()  # nobody asked
            return
        try:
            if isinstance(self._content, ChunkedContent):
                self._feed(self._content, data, size)
            elif self._fresh:
                self._begin(parser, bytes(data))
            else:
                self._parse(parser, bytes(data))
        except Exception as error:  # noqa: BLE001  border: the parser, on a stranger's bytes
            content = self._content
            self._break_off(error)
        else:
            content = self._content  # whoever is told may end the exchange
            if size:
                if self.on_news is not None:
                    self.on_news()
                self._hold_back()
        if isinstance(content, ChunkedContent) and content.held:
            content.keep()
        self._wake()

    def _begin(self, parser: HttpParser[Any], data: bytes) -> None:
        """Take the first read of a reply, whose head may be that of the reply before."""
        self._fresh = False
        known = self._known
        if known is not None and (content := known.content_of(data)) is not None:
            self._message, self._content = known.message, content
        else:
            self._parse(parser, data)
            self._known = None if self._message is None else KnownHead.of(data, self._message)

    def _parse(self, parser: HttpParser[Any], data: bytes) -> None:
        streams, self._streams = self._streams, ()
        rest = b""
        if streams and (end := data.find(HEAD_END) + len(HEAD_END)) >= len(HEAD_END):
            data, rest = data[:end], data[end:]
        messages, upgraded, _ = parser.feed_data(data)
        for message, content in messages:
            self._take(message, content)
        if upgraded:
            self._parser = None
        elif streams and self._message is None:
            self._streams = streams if messages else ()  # a 1xx came, and the reply comes after it
        elif streams and self._message is not None and _is_stream(self._message, streams):
            # Set only when the rest is right: what is broken from the start is no reply.
            self._content, chunks = None, ChunkedContent(self._make_room)
            self._feed(chunks, rest, len(rest))
            self._content = chunks
            return
        if rest:
            self._parse(parser, rest)

    def _feed(self, content: ChunkedContent, data: Read, size: int) -> None:
        content.feed(data, size)
        self._spoilt |= content.surplus

    def _hold_back(self) -> None:
        """Read nothing for now if much is held that nobody has taken, as a stream's reader does."""
        content = self._content
        if (
            isinstance(content, ChunkedContent)
            and content.held > 2 * _LOW_WATER_BYTES
            and not self._reading_paused
        ):
            self._reading_paused = True
            self._pause_transport_reading()

    def _make_room(self) -> None:
        """Let the peer go on, if it was held back for content that has now been taken."""
        if self._reading_paused:
            self._reading_paused = False
            self._resume_transport_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Let the peer go on; called by the content after each read, so mostly for nothing."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what is under way; called by the loop."""
        parser, self._parser = self._parser, None
        self._reading_paused = False
        self._poll = None
        super().connection_lost(exc)
        if parser is not None:
            self._end_early(parser, exc)
            self._tell()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def _take(self, message: RawResponseMessage, content: StreamReader) -> None:
        if 100 <= message.code < 200 and message.code != _SWITCHING:
            return  # what a peer says before its reply
        if self._message is not None:
            self._spoilt = True  # two replies to one request
            return
        self._message = message
        bodiless = message.code in _BODILESS or message.code == _SWITCHING
        self._content = EMPTY_PAYLOAD if bodiless else content

    def _break_off(self, error: Exception) -> None:
        """End the exchange for what is no HTTP, in its head or between chunks."""
        if self._content is not None:
            broken: Exception = aiohttp.ClientPayloadError("the reply's framing is broken")
        elif isinstance(error, HttpProcessingError):
            broken = error
        else:
            broken = HttpProcessingError()
        broken.__cause__ = None if broken is error else error
        self.fail(broken)

    def _end_early(self, parser: HttpParser[Any], exc: BaseException | None) -> None:
        """Tell the reply that its connection is lost, which may be how it ends."""
        if self._content is None:
            lost = aiohttp.ClientOSError(*exc.args) if isinstance(exc, OSError) else None
            self._error = lost or aiohttp.ServerDisconnectedError()
            self._error.__cause__ = exc
        elif isinstance(self._content, ChunkedContent):
            if not self._content.is_eof():
                self._content.set_exception(
                    aiohttp.ClientPayloadError("the reply is not complete"), exc
                )
        elif isinstance(self._content, StreamReader) and not self._content.is_eof():
            try:
                parser.feed_eof()
            except Exception as error:  # noqa: BLE001  border: the parser, on a stranger's bytes
                # In no variable: its cause refers to this frame.
                self._content.set_exception(
                    aiohttp.ClientPayloadError("the reply is not complete"), exc or error
                )

    def _tell(self) -> None:
        """Tell of an error whoever waits."""
        waiter = self._waiter
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(None)
        elif self.on_news is not None:
            self.on_news()

    def _wake(self) -> None:
        """Wake who waits for a reply if it is there; comes last, as the next request may follow."""
        waiter = self._waiter
        if waiter is None or self._message is None:
            return
        if isinstance(waiter, Wake):
            waiter.wake()
        elif not waiter.done():
            waiter.set_result(None)

    def _can_go_on(self) -> bool:
        parser, message, transport = self._parser, self._message, self.transport
        if parser is None or message is None or transport is None or self._spoilt:
            return False
        if message.should_close or self._content is None or not self._content.is_eof():
            return False
        if transport.is_closing() or transport.get_write_buffer_size():
            return False
        if isinstance(self._content, ChunkedContent):
            return not self._reading_paused
        try:
            # Else the beginning of something has come.
            return parser.feed_eof() is None and (not _IN_PYTHON or _is_between(parser))
        except Exception:  # noqa: BLE001  border: the parser, on a stranger's bytes
            return False


def _is_between(parser: HttpParser[Any]) -> bool:
    """Tell whether a parser in Python has nothing of a next reply; empty lines would be nothing.

    Raises:
        HttpProcessingError: It has what is no HTTP.
    """
    messages, upgraded, _ = parser.feed_data(b"\n\n", b"\n")
    return not messages and not upgraded


def _is_stream(message: RawResponseMessage, streams: Container[str]) -> bool:
    """Tell whether a reply has content of one of these media types, in chunks."""
    kind = message.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return bool(message.chunked) and message.code == 200 and kind in streams
