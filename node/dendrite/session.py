"""The connections of a dendrite, and what it tells about each request on its way out.

Connections are made, kept and closed by aiohttp's connector, and replies are parsed by its
protocol; requests are written here. A request of ours has a known length, no cookies, redirects,
proxies or compression, so its head is one text: this takes 25 us where `ClientSession` takes 130.
"""

from __future__ import annotations

import asyncio
import hashlib
import select
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from node.network import Peer
from node.version import VERSION

from .deadlines import PhaseClock
from .http_reply import HttpReply
from .latch import Latch
from .public_socket import public_socket
from .startline import StartLine
from .timing import StreamTiming

__all__ = ["CallTrace", "Dial", "Session"]

Dial = Callable[[str, int], Awaitable[socket.socket | None]]

_MAX_PLACES = 4096
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
# Joined with its head a body costs a copy; apart from it, a small one costs a packet.
_MAX_JOINED_BYTES = 64 * 1024


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
        return hashlib.sha256(self.request).hexdigest()

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
    """Makes aiohttp's connector on first use, since that needs a running loop.

    The number of connections is not limited here, so no request waits in a pool and no peer's
    time is charged with waiting. Whoever made it closes it.

    Args:
        allow_private: Whether to connect to addresses that are not of the open net.
        dial: As for `Dendrite`.
    """

    def __init__(self, *, allow_private: bool = True, dial: Dial | None = None) -> None:
        self._socket_factory = None if allow_private else public_socket
        self._dial = dial
        self._connector: _Connector | None = None
        self._places: dict[tuple[str, int], _Place] = {}

    @property
    def closed(self) -> bool:
        """Whether nothing is open."""
        return self._connector is None or self._connector.closed

    async def post(
        self, peer: Peer, target: str, body: bytes, headers: Mapping[str, str], trace: CallTrace
    ) -> HttpReply:
        """Send one request and return its reply when the status is there.

        aiohttp's errors pass. The caller closes or releases the reply.

        Raises:
            ValueError: A header holds what would end it.
        """
        place = self._place_of(peer)
        head = place.head_of("POST", target, {**headers, "Content-Length": str(len(body))})
        return await self._exchange(place, head, body, trace)

    async def get(self, peer: Peer, trace: CallTrace) -> HttpReply:
        """Fetch the page at `/`, which needs no signature; otherwise as `post`."""
        place = self._place_of(peer)
        head = place.head_of("GET", "/", {})
        try:
            return await self._exchange(place, head, b"", trace)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            # A connection that was kept and that the peer had closed; a GET may go twice.
            return await self._exchange(place, head, b"", trace)

    async def _exchange(
        self, place: _Place, head: bytes, body: bytes, trace: CallTrace
    ) -> HttpReply:
        connection = await self._open().connect(place.route, [], _NO_TIMEOUT)
        if _has_ended(connection):
            connection.close()
            connection = await self._open().connect(place.route, [], _NO_TIMEOUT)
        try:
            await trace.connected()
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:
                raise aiohttp.ClientConnectionResetError("closed while it waited to be used")
            protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            if len(body) <= _MAX_JOINED_BYTES:
                transport.write(head + body)
            else:
                transport.write(head)
                transport.write(body)
            trace.written()
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await protocol.read()
        except BaseException:
            connection.close()
            raise
        return HttpReply(message.code, message.headers, content, connection)

    def _place_of(self, peer: Peer) -> _Place:
        place = self._places.get((peer.ip, peer.port))
        if place is None:
            if len(self._places) >= _MAX_PLACES:
                self._places.clear()
            place = self._places[peer.ip, peer.port] = _Place.of(peer)
        return place

    def _open(self) -> _Connector:
        if self._connector is None or self._connector.closed:
            self._connector = _Connector(
                limit=0,
                limit_per_host=0,
                socket_factory=self._socket_factory,
                dial=self._dial,
            )
        return self._connector

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        connector, self._connector = self._connector, None
        self._places.clear()
        if connector is not None:
            await connector.close()


def _has_ended(connection: aiohttp.connector.Connection) -> bool:
    """Tell whether a kept connection was closed by its peer, which the loop may not know yet.

    A request that is written to such a one is lost, and must not be sent again by itself.
    """
    if connection.transport is None:
        return True
    sock = connection.transport.get_extra_info("socket")
    if sock is None or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Place(NamedTuple):
    """What every request to one address has in common.

    Attributes:
        route: Stands for such a request where aiohttp looks for a connection; never sent itself.
        head: The header lines that are always the same.
    """

    route: aiohttp.ClientRequest
    head: str

    @classmethod
    def of(cls, peer: Peer) -> _Place:
        url = URL(peer.url)
        host = peer.endpoint.removesuffix(":80") if peer.port == 80 else peer.endpoint
        lines = (
            f"Host: {host}",
            f"User-Agent: ganglion/{VERSION}",
            "Accept: */*",
            "Accept-Encoding: identity",
        )
        route = aiohttp.ClientRequest("POST", url, loop=asyncio.get_running_loop())
        return cls(route, "\r\n".join(lines))

    def head_of(self, method: str, target: str, headers: Mapping[str, str]) -> bytes:
        """Return the head of a request.

        Raises:
            ValueError: A line holds what would end it.
        """
        lines = [f"{method} {target} HTTP/1.1", self.head]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines)
        breaks = self.head.count("\n") + len(lines) - 1
        if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
            raise ValueError("a header of the request holds a line break")
        return f"{head}\r\n\r\n".encode()


class _Connector(aiohttp.TCPConnector):
    """Makes connections by TCP, or over sockets of `dial`."""

    def __init__(self, *, dial: Dial | None, **options: Any) -> None:
        super().__init__(**options)
        self._dial = dial

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Make a new connection, over a socket of `dial` where it gives one.

        The method that aiohttp's connectors differ in; its `UnixConnector` is the model.
        """
        key = req.connection_key
        sock: socket.socket | None = None
        if self._dial is not None:
            sock = await self._dial(key.host, key.port or 80)
        if sock is None:
            return await super()._create_connection(req, traces, timeout)
        try:
            _, protocol = await self._loop.create_connection(self._factory, sock=sock)
        except BaseException:
            sock.close()
            raise
        return protocol
