"""HTTP/1.1 over plain sockets: requests and replies that no library would send.

Rule: nothing here uses aiohttp, so what a test sends is what travels, byte for byte.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

from node import Keypair, Peer
from node.wire import btauth

__all__ = [
    "RawConnection",
    "RawReply",
    "RawRequest",
    "Script",
    "ask",
    "chunked",
    "read_request",
    "reply_head",
    "scripted_peer",
    "signed_request",
]

WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class RawReply:
    """One reply as it came.

    Attributes:
        status: From the status line.
        headers: Names as sent, and values.
        body: Without chunked framing.
        complete: Whether the body ended as its framing says it must.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    complete: bool

    def header(self, name: str) -> str | None:
        """Return the value of a header, by its name in any case."""
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request to send, each part of which a test may change alone."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def change(self, **parts: Any) -> Self:
        """Return a copy with other `method`, `target`, `headers` or `body`."""
        return replace(self, **parts)

    def without(self, *names: str) -> Self:
        """Return a copy without some headers."""
        gone = {name.lower() for name in names}
        kept = tuple(pair for pair in self.headers if pair[0].lower() not in gone)
        return replace(self, headers=kept)

    def also(self, name: str, value: str) -> Self:
        """Return a copy with one more header, also when it has one of that name."""
        return replace(self, headers=(*self.headers, (name, value)))

    def set(self, name: str, value: str) -> Self:
        """Return a copy in which a header has another value."""
        return self.without(name).also(name, value)

    def value(self, name: str) -> str:
        """Return the value of a header."""
        return next(value for key, value in self.headers if key.lower() == name.lower())

    def head(self, *framing: tuple[str, str]) -> bytes:
        """Return the bytes up to the body; `framing` is what says how long the body is."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: node"]
        lines += [f"{name}: {value}" for name, value in (*self.headers, *framing)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def encode(self) -> bytes:
        """Return the whole request, its body by Content-Length."""
        return self.head(("Content-Length", str(len(self.body)))) + self.body


def signed_request(
    keypair: Keypair,
    receiver: str | None,
    target: str,
    body: bytes,
    *,
    method: str = "POST",
    nonce_ns: int | None = None,
) -> RawRequest:
    """Return a request that is signed as its parts say; now, unless it is told another nonce."""
    headers = btauth.sign(
        keypair,
        method=method,
        target=target,
        body=body,
        receiver=receiver,
        nonce_ns=time.time_ns() if nonce_ns is None else nonce_ns,
    )
    return RawRequest(
        method, target, (*headers.items(), ("Content-Type", "application/json")), body
    )


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    """Return chunks in HTTP's chunked framing, with or without the last one."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return framed + (b"0\r\n\r\n" if end else b"")


@dataclass
class RawConnection:
    """One connection; `send` and `read_reply` as often as the other side keeps it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _closed: bool = field(default=False, init=False)

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to a port on loopback."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def close(self) -> None:
        """Close; safe to call twice and on a connection that the other side has reset."""
        if not self._closed:
            self._closed = True
            self.writer.close()
            with suppress(ConnectionError):
                await self.writer.wait_closed()

    async def read_reply(self, within_s: float = WAIT_S) -> RawReply:
        """Return the next reply; one that is cut off has `complete` False."""
        async with asyncio.timeout(within_s):
            return await self._read_reply()

    async def is_closed_by_peer(self, within_s: float = WAIT_S) -> bool:
        """Read to the end of the connection; whether it came in time."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    async def _read_reply(self) -> RawReply:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.split("\r\n")[:-2]
        pairs = [line.partition(":") for line in lines]
        headers = tuple((name, value.strip()) for name, _, value in pairs)
        by_name = {name.lower(): value for name, value in headers}
        status = int(status_line.split(" ")[1])
        if status < 200:
            return RawReply(status, headers, b"", True)
        if by_name.get("transfer-encoding") == "chunked":
            body, complete = await self._read_chunked()
        elif "content-length" in by_name:
            body, complete = await self._read_exactly(int(by_name["content-length"]))
        else:
            body, complete = await self.reader.read(), True
        return RawReply(status, headers, body, complete)

    async def _read_exactly(self, length: int) -> tuple[bytes, bool]:
        try:
            return await self.reader.readexactly(length), True
        except asyncio.IncompleteReadError as error:
            return error.partial, False

    async def _read_chunked(self) -> tuple[bytes, bool]:
        body = bytearray()
        try:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionError):
            return bytes(body), False
        return bytes(body), True


async def ask(port: int, request: RawRequest | bytes) -> RawReply:
    """Send one request on a connection of its own and return the reply."""
    async with await RawConnection.open(port) as connection:
        await connection.send(request if isinstance(request, bytes) else request.encode())
        return await connection.read_reply()


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return head and body of a request that has a Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head, await reader.readexactly(length)


def reply_head(content_type: str, *lines: str, status: str = "200 OK") -> bytes:
    """Return the head of a reply; `lines` say how its body is framed."""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", *lines, "", ""]
    return "\r\n".join(head).encode()


@asynccontextmanager
async def scripted_peer(script: Script, hotkey: str) -> AsyncIterator[Peer]:
    """Serve every connection by a script; it is closed when the script returns.

    Args:
        script: Gets both ends of a connection, with nothing read.
        hotkey: The address that the peer goes by.
    """
    running: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the dendrite left, or the test is over
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Peer(hotkey=hotkey, ip="127.0.0.1", port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
