"""What the hooks of a `StreamingSynapse` read: a reply's status, headers and content.

It has the reading methods of aiohttp's client response that subnet code uses in
`process_streaming_response` and `extract_response_json`, over any stream mode. In the framed mode
`iter_any` gives the chunks exactly as the axon sent them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

__all__ = ["ReplyContent", "ReplyStream"]


class ReplyContent:
    """The content of a streamed reply, read once and in order.

    Args:
        read: Gives the next chunk, or b"" at the end; may raise a `CallError`.
        ready: Gives the next chunk if it has come already, else b""; spares the await.
    """

    def __init__(
        self, read: Callable[[], Awaitable[bytes]], ready: Callable[[], bytes] = bytes
    ) -> None:
        self._read = read
        self._ready = ready
        self._held = b""
        self._ended = False

    def at_eof(self) -> bool:
        """Whether everything was read."""
        return self._ended and not self._held

    async def readany(self) -> bytes:
        """Return what is held or else the next chunk; b"" at the end."""
        if self._held:
            data, self._held = self._held, b""
            return data
        if self._ended:
            return b""
        data = await self._read()
        self._ended = not data
        return data

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Yield chunks as they come."""
        while data := (not self._held and self._ready()) or await self.readany():
            yield data

    async def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Yield pairs of a chunk and True, for every chunk comes whole."""
        while data := await self.readany():
            yield data, True

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Yield pieces of at most `n` bytes."""
        while data := await self.readany():
            for start in range(0, len(data), n):
                yield data[start : start + n]

    async def readline(self) -> bytes:
        """Return up to and with the next newline, or the rest; b"" at the end."""
        line = bytearray()
        while data := await self.readany():
            head, newline, tail = data.partition(b"\n")
            line += head + newline
            if newline:
                self._held = tail
                break
        return bytes(line)

    async def read(self, n: int = -1) -> bytes:
        """Return everything that is left, or one piece of at most `n` bytes."""
        if n < 0:
            return b"".join([data async for data in self.iter_any()])
        data = await self.readany()
        self._held = data[n:] + self._held
        return data[:n]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield lines, as aiohttp's reader does."""
        while line := await self.readline():
            yield line


class ReplyStream:
    """A streamed reply as a synapse's hooks see it.

    Attributes:
        status: HTTP status, 200 for every reply that reaches a hook.
        headers: Header names, lower-cased, and values.
        content: The chunks.
    """

    def __init__(self, *, status: int, headers: Mapping[str, str], content: ReplyContent) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.content = content
        # Subnet code reads this attribute of aiohttp's response by name, in `__dict__` too.
        self._raw_headers = tuple(
            (name.encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in self.headers.items()
        )

    @property
    def content_type(self) -> str:
        """The media type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
