"""A reply as HTTP brings it: what the rest of the dendrite needs of aiohttp's client response."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

__all__ = ["HttpReply"]


class HttpReply:
    """One reply whose status and headers are there; its content may still be under way.

    Whoever got it calls `release` or `close`, which may both be called again.

    Args:
        status: HTTP status.
        headers: Names in any case, and values.
        content: The body; raises aiohttp's errors.
        connection: What it comes on.
    """

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: aiohttp.StreamReader,
        connection: aiohttp.connector.Connection,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self._connection: aiohttp.connector.Connection | None = connection

    @property
    def content_type(self) -> str:
        """The media type without parameters; `application/octet-stream` where none is named."""
        named = self.headers.get("Content-Type", "application/octet-stream")
        return named.partition(";")[0].strip().lower()

    def release(self) -> None:
        """Keep the connection for another request if the whole reply was read, or close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport = connection.transport
        if transport is None or transport.get_write_buffer_size():
            # Answered before it had taken the whole request.
            connection.close()
        else:
            connection.release()

    def close(self) -> None:
        """Close the connection: the peer learns that nobody listens any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
