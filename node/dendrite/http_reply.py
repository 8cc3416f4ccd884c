"""A reply as HTTP brings it: what the rest of the dendrite needs of it and of its connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import aiohttp
from aiohttp.streams import StreamReader

from node.whole import WholeContent

from .connection import Connection, Content
from .deadlines import PhaseClock

__all__ = ["HttpReply"]


class HttpReply:
    """One reply whose status and headers are there; its content may still be under way.

    Whoever got it calls `release` or `close`, which may both be called again.

    Args:
        status: HTTP status.
        headers: Names in any case, and values.
        content: The body; raises aiohttp's errors.
        connection: What it comes on.
        free: Takes the connection back.
    """

    __slots__ = ("_connection", "_free", "content", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: Content,
        connection: Connection,
        free: Callable[[Connection], None],
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self._connection: Connection | None = connection
        self._free = free

    @property
    def content_type(self) -> str:
        """The media type without parameters; `application/octet-stream` where none is named."""
        named = self.headers.get("Content-Type", "application/octet-stream")
        return named.partition(";")[0].strip().lower()

    async def read_body(self, limit: int, clock: PhaseClock | None = None) -> bytes:
        """Return the body of a reply that is no stream; errors as `content`.

        Args:
            limit: Where it is longer than so many bytes, a beginning that is longer is returned.
            clock: Enters `idle`, and a new one after each read, while more is to come.
        """
        content = self.content
        if isinstance(content, WholeContent):
            return content.read_nowait()
        # Only the content of a stream is cut by `chunked`, and that is read by its pump.
        assert isinstance(content, StreamReader)
        pieces: list[bytes] = []
        held = 0
        try:
            while held <= limit and (piece := await content.readany()):
                held += len(piece)
                pieces.append(piece)
                if content.at_eof():
                    break
                if clock is not None:
                    clock.enter("idle")
        except Exception as error:  # noqa: BLE001  border: aiohttp
            # Its frames refer to what they raise, which would keep all of a call until gc.
            raise error.with_traceback(None) from error.__cause__
        return b"".join(pieces)

    def release(self) -> None:
        """Keep the connection for another request if the whole reply was read, or close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._free(connection)

    def close(self) -> None:
        """Close the connection: the peer learns that nobody listens any more.

        Content that was not read before raises `aiohttp.ClientPayloadError`.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            # What was raised from the content refers to frames that refer to the content.
            self.content.set_exception(aiohttp.ClientPayloadError("the reply was closed"))
            connection.close()
            self._free(connection)
