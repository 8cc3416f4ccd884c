"""A connection that goes through a behaviour, byte by byte, on its way to an axon."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from .behaviour import Behaviour
from .memory import socket_pair

__all__ = ["Relay"]

_PIECE_BYTES = 65_536


class Relay:
    """Joins callers' connections with connections of its own to an axon.

    What the caller sends is passed on as it comes; what the axon sends goes through
    `Behaviour.pass_on`. Either end's closing closes both. Each connection is a task of this
    object; whoever makes it calls `close`.

    Args:
        behaviour: What the bytes go through.
        accept: Gives the axon a connection.
    """

    def __init__(
        self, behaviour: Behaviour, accept: Callable[[socket.socket], Awaitable[None]]
    ) -> None:
        self._behaviour = behaviour
        self._accept = accept
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, sock: socket.socket) -> None:
        """Serve a connected socket, which is this object's to close from here on."""
        try:
            reader, writer = await asyncio.open_connection(sock=sock)
        except BaseException:
            sock.close()
            raise
        self.serve(reader, writer)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection, which is this object's to close."""
        task = asyncio.create_task(self._serve(reader, writer), name="relay to a faulty axon")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            near, far = socket_pair()
            try:
                await self._accept(far)
            except BaseException:
                near.close()
                raise
            inner_reader, inner_writer = await asyncio.open_connection(sock=near)
            try:
                await _join(reader, writer, inner_reader, inner_writer, self._behaviour)
            finally:
                await _close(inner_writer)
        except ConnectionError:
            pass  # the axon is stopping; the caller sees its connection closed
        except asyncio.CancelledError:
            # Closing would wait for a caller that may never read what is left.
            writer.transport.abort()
            raise
        finally:
            await _close(writer)


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner_reader: asyncio.StreamReader,
    inner_writer: asyncio.StreamWriter,
    behaviour: Behaviour,
) -> None:
    """Pass bytes both ways until one end has closed."""
    asked = asyncio.Event()

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def up() -> None:
        while data := await reader.read(_PIECE_BYTES):
            asked.set()
            inner_writer.write(data)
            await inner_writer.drain()

    async def down() -> None:
        while data := await inner_reader.read(_PIECE_BYTES):
            begins = asked.is_set()
            asked.clear()
            await behaviour.pass_on(data, send, begins=begins)

    ways = [asyncio.create_task(way) for way in (up(), down())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        results = await asyncio.gather(*ways, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
