"""One HTTP request, as the rest of an axon meets it: its head, and its body as it comes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import HttpVersion, HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import CIMultiDictProxy

from node.whole import WholeContent

from .target import origin_form

__all__ = ["Line", "Request"]

Content = StreamReader | WholeContent


class Line(Protocol):
    """What a request needs of the connection that it came on."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """None once it is lost."""

    @property
    def writing_paused(self) -> bool:
        """Whether the client takes what is written more slowly than it is."""

    async def drained(self) -> None:
        """As `Request.drained`."""


class Request:
    """A request whose head has come; its body may still be under way.

    Args:
        message: The head, parsed.
        content: The body; raises aiohttp's errors.
        connection: Where it came from and its reply goes.

    Attributes:
        method: As sent.
        raw_path: The target with its query, in its origin form and otherwise as sent.
        headers: Names in any case; a name that came twice is there twice.
        content: The body.
        version: Of HTTP.
        told_to_go_on: Whether a client that asked first was told to send its body.
        keeps_alive: Whether the client would send another on this connection.
    """

    __slots__ = (
        "_connection",
        "content",
        "headers",
        "keeps_alive",
        "method",
        "raw_path",
        "told_to_go_on",
        "version",
    )

    def __init__(self, message: RawRequestMessage, content: Content, connection: Line) -> None:
        self.method: str = message.method
        self.raw_path = origin_form(message.path)
        self.headers: CIMultiDictProxy[str] = message.headers
        self.content: Content = content
        self.version: HttpVersion = message.version
        self.told_to_go_on = False
        # What is asked to be something other than HTTP after this stays HTTP, and ends.
        self.keeps_alive = not (message.should_close or message.upgrade)
        self._connection = connection

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection's transport; None once it is lost."""
        return self._connection.transport

    @property
    def writing_paused(self) -> bool:
        """Whether the client takes what is written more slowly than it is."""
        return self._connection.writing_paused

    @property
    def takes_chunks(self) -> bool:
        """Whether a reply may be sent without its length and keep the connection."""
        return self.version >= HttpVersion11

    @property
    def holds_body_back(self) -> bool:
        """Whether the rest of the body may never come, as nobody asked for it yet.

        The client asked whether to send it (RFC 9110 §10.1.1), and may do so without an answer.
        """
        if self.told_to_go_on or self.content.is_eof() or not self.takes_chunks:
            return False
        return self.headers.get("Expect", "").lower() == "100-continue"

    @property
    def remote(self) -> tuple[str | None, int | None]:
        """Address and port of the other end of the connection, where it has such."""
        transport = self._connection.transport
        peer = None if transport is None else transport.get_extra_info("peername")
        return (peer[0], peer[1]) if isinstance(peer, tuple) else (None, None)

    @property
    def content_length(self) -> int:
        """How long the body is to be; 0 where the head does not say."""
        return int(self.headers.get("Content-Length", 0))

    async def drained(self) -> None:
        """Wait until the client has taken enough of what was written; it is cut off if it stops.

        Raises:
            ConnectionError: The client has gone, or was cut off.
        """
        await self._connection.drained()

    def _cancel(self, error: BaseException) -> None:
        """Fail whoever waits for the body; called by aiohttp when the connection is lost."""
        self.content.set_exception(error)
