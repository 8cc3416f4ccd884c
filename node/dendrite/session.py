"""The connections of a dendrite, and what it tells about each request on its way out."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import Container, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.http import RawResponseMessage

from node.network import Peer
from node.wire import digest_of_request

from .connection import Connection, Content
from .connector import Connector, Dial
from .deadlines import PhaseClock
from .head import encode_head, same_lines
from .http_reply import HttpReply
from .latch import Latch
from .public_socket import public_socket
from .startline import StartLine
from .timing import StreamTiming

__all__ = ["CallTrace", "Dial", "Session"]

_MAX_PLACES = 4096
# Peers close what is idle for longer, often at a minute or so.
_KEEP_S = 15.0


@dataclass(slots=True)
class CallTrace:
    """One request on its way out.

    Attributes:
        clock: Moved on to `first_byte` when the connection stands.
        timing: Gets the times.
        line: Where it waits for others, or None.
        sent: Set when the request has been written, or has failed; None if nobody waits for it.
        request: What was signed, once it was.
    """

    clock: PhaseClock
    timing: StreamTiming
    line: StartLine | None = None
    sent: Latch | None = None
    request: bytes = b""

    @property
    def request_digest(self) -> str:
        """The request's digest, by which a receipt names it."""
        return digest_of_request(self.request)

    async def connected(self) -> None:
        """Note that the connection stands, and wait for the others."""
        self.timing.connected_s = self.timing.now()
        if self.line is not None:
            self.clock.pause()
            await self.line.ready()
        self.clock.enter("first_byte")

    def written(self) -> None:
        """Note that the request is on the wire."""
        self.timing.sent_s = self.timing.now()
        if self.sent is not None:
            self.sent.set()


class Session:
    """Makes connections, and keeps those that may carry another request.

    aiohttp's connector, made on first use since that needs a running loop, looks names up and
    connects; what happens afterwards is here. The number of connections is not limited, so no
    request waits in a pool and no peer's time is charged with waiting. Whoever made it closes it;
    one that is dropped open warns, and its loop closes the connections.

    Args:
        allow_private: Whether to connect to addresses that are not of the open net.
        dial: As for `Dendrite`.
    """

    def __init__(self, *, allow_private: bool = True, dial: Dial | None = None) -> None:
        self._socket_factory = None if allow_private else public_socket
        self._dial = dial
        self._connector: Connector | None = None
        self._heads: dict[tuple[str, int], str] = {}
        self._open: dict[Connection, tuple[str, int]] = {}
        self._idle: dict[tuple[str, int], list[Connection]] = {}
        self._waiting = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __del__(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            # A finaliser may run anywhere and in any thread.
            if self._sweeping is not None:
                loop.call_soon_threadsafe(self._sweeping.cancel)
            for connection in self._open:
                loop.call_soon_threadsafe(connection.close)
        if self._open:  # last, for where warnings are errors
            warnings.warn(f"unclosed session {self!r}", ResourceWarning, source=self, stacklevel=1)

    @property
    def closed(self) -> bool:
        """Whether nothing is open."""
        return self._connector is None or self._connector.closed

    async def get(self, peer: Peer, trace: CallTrace) -> HttpReply:
        """Fetch the page at `/`, which needs no signature, and return it when its status is there.

        aiohttp's errors pass. The caller closes or releases the reply.
        """
        head = encode_head("GET", "/", self._same_of(peer), {})
        try:
            return await self.reply_on(await self.start(peer, head, b"", trace))
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            # A connection that was kept and that the peer had closed; a GET may go twice.
            return await self.reply_on(await self.start(peer, head, b"", trace))

    def head(self, peer: Peer, target: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the head of a request with a JSON body.

        Raises:
            ValueError: A line holds what would end it.
        """
        framing = "Content-Type: application/json", f"Content-Length: {len(body)}"
        return encode_head("POST", target, self._same_of(peer), headers, *framing)

    def take(self, peer: Peer) -> Connection | None:
        """Return the kept connection that was free last, if one is alive; the caller frees it."""
        idle = self._idle.get((peer.ip, peer.port))
        while idle:
            connection = idle.pop()
            if not connection.has_ended() and connection.kept_at >= _now() - _KEEP_S:
                return connection
            self.drop(connection)
        return None

    async def start(
        self,
        peer: Peer,
        head: bytes,
        body: bytes,
        trace: CallTrace,
        streams: Container[str] = (),
    ) -> Connection:
        """Write a request on a kept connection or a new one, which the caller frees.

        aiohttp's errors pass. `streams` as for `Connection.ask`.
        """
        connection = self.take(peer) or await self._connect(peer)
        try:
            await trace.connected()
            self.write(connection, head, body, trace, streams)
        except BaseException:
            self.drop(connection)
            raise
        return connection

    def write(
        self,
        connection: Connection,
        head: bytes,
        body: bytes,
        trace: CallTrace,
        streams: Container[str] = (),
    ) -> None:
        """Write a request on a connection that was taken; `streams` as for `Connection.ask`.

        Raises:
            aiohttp.ClientConnectionResetError: It was closed.
        """
        if trace.timing.connected_s is None:
            trace.timing.connected_s = trace.timing.now()
        connection.ask(head, body, streams)
        trace.written()

    async def reply_on(self, connection: Connection) -> HttpReply:
        """Wait for the head of the reply on a connection that carries a request.

        aiohttp's errors pass, and then the connection is closed.
        """
        alone = not self._waiting
        self._waiting += 1
        try:
            came = await connection.replied(at_once=alone)
        except BaseException:
            self.drop(connection)
            raise
        finally:
            self._waiting -= 1
        return self._reply(connection, *came)

    def reply_now(self, connection: Connection) -> HttpReply | None:
        """Return the reply on a connection if its head has come; raises as `Connection.reply`."""
        came = connection.reply()
        return None if came is None else self._reply(connection, *came)

    def _reply(
        self, connection: Connection, message: RawResponseMessage, content: Content
    ) -> HttpReply:
        return HttpReply(message.code, message.headers, content, connection, self.free)

    def free(self, connection: Connection) -> None:
        """End the exchange on a connection, and keep it if it may carry another."""
        place = self._open.get(connection)
        if not connection.finish() or place is None:
            self.drop(connection)
            return
        loop = asyncio.get_running_loop()
        connection.kept_at = loop.time()
        self._idle.setdefault(place, []).append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(_KEEP_S, _sweep, weakref.ref(self))

    def drop(self, connection: Connection) -> None:
        """Close a connection."""
        connection.close()
        self._open.pop(connection, None)

    async def _connect(self, peer: Peer) -> Connection:
        connector = self._opened()
        connection = await connector.connected(peer)
        if connector.closed:
            connection.close()
            raise aiohttp.ClientConnectionError("the session was closed")
        self._open[connection] = (peer.ip, peer.port)
        return connection

    def _same_of(self, peer: Peer) -> str:
        """Return the header lines that are the same in every request to a peer."""
        place = (peer.ip, peer.port)
        same = self._heads.get(place)
        if same is None:
            if len(self._heads) >= _MAX_PLACES:
                self._heads.clear()
            same = self._heads[place] = same_lines(peer)
        return same

    def _opened(self) -> Connector:
        if self._connector is None or self._connector.closed:
            self._loop = asyncio.get_running_loop()
            self._connector = Connector(socket_factory=self._socket_factory, dial=self._dial)
        return self._connector

    def sweep(self) -> None:
        """Close what was kept for too long or is closed already; comes again while any is kept."""
        self._sweeping = None
        since = _now() - _KEEP_S
        kept: dict[tuple[str, int], list[Connection]] = {}
        for place, idle in self._idle.items():
            for connection in idle:
                if connection.kept_at > since and connection.transport is not None:
                    kept.setdefault(place, []).append(connection)
                else:
                    self.drop(connection)
        self._idle = kept
        if kept:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(_KEEP_S, _sweep, weakref.ref(self))

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        connector, self._connector = self._connector, None
        connections = list(self._open)
        self._open.clear()
        self._idle.clear()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for connection in connections:
            connection.fail(aiohttp.ClientConnectionResetError("the session was closed"))
        for connection in connections:
            await connection.closed()
        if connector is not None:
            await connector.close()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _sweep(session: weakref.ref[Session]) -> None:
    """Sweep a session, unless nobody has it any more."""
    here = session()
    if here is not None:
        here.sweep()
