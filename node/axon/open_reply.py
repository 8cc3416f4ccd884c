"""A reply that leaves in pieces, its head with the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .reply import encode_same_head
from .request import Request

__all__ = ["OpenReply"]

_LAST_CHUNK = b"0\r\n\r\n"


class OpenReply:
    """One reply of a length that nobody knows yet, in chunks of HTTP/1.1 (RFC 9112 §7.1).

    HTTP/1.0, which proxies speak unless they are told otherwise, has no chunks: there the reply
    ends where the connection does.

    Args:
        request: The request that it answers.
        headers: What goes into its head beside the framing.
        status: HTTP status.

    Attributes:
        status: HTTP status.
        started: Whether the head has left.
        ended: Whether the reply is whole; a connection whose reply is not is closed.
    """

    __slots__ = ("_chunked", "_headers", "_request", "ended", "started", "status")

    def __init__(self, request: Request, headers: Mapping[str, str], *, status: int = 200) -> None:
        self._request = request
        self._headers = headers
        self._chunked = request.takes_chunks
        self.status = status
        self.started = False
        self.ended = False

    def put(self, *pieces: bytes) -> None:
        """Give one chunk, in pieces, to the transport, without waiting for the client.

        Nothing at all is no chunk.

        Raises:
            ConnectionResetError: The client has gone.
            ValueError: A header holds what would end it.
        """
        self._write(pieces, b"")

    async def write(self, *pieces: bytes) -> None:
        """As `put`, and wait while the client is slow.

        Raises:
            ConnectionError: The client has gone.
            ValueError: As for `put`.
        """
        self.put(*pieces)
        if self._request.writing_paused:
            await self._request.drained()

    async def end(self, *pieces: bytes) -> None:
        """Give the last chunk, if there is one, to the transport, and wait while it is slow.

        Raises:
            ConnectionError: The client has gone.
            ValueError: As for `put`.
        """
        self._write(pieces, _LAST_CHUNK if self._chunked else b"")
        self.ended = True
        if self._request.writing_paused:
            await self._request.drained()

    def _write(self, pieces: Sequence[bytes], after: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        parts = [] if self.started else [self._head()]
        size = sum(map(len, pieces))
        if size and self._chunked:
            parts += (b"%x\r\n" % size, *pieces, b"\r\n", after)
        else:
            parts += (*pieces, after)
        self.started = True
        # Joined once: a write for each would be a packet for each.
        transport.write(b"".join(parts))

    def _head(self) -> bytes:
        framing = ("Transfer-Encoding: chunked",) if self._chunked else ()
        closes = not (self._chunked and self._request.keeps_alive)
        return encode_same_head(self.status, self._headers, *framing, closes=closes)
