"""Making connections: names, several addresses at once, and sockets of others' making.

aiohttp's connector does this and nothing more here. Its pool is not used: it costs 10 us of a call
to take a connection from it and give it back.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from node.network import Peer

from .connection import Connection

__all__ = ["Connector", "Dial"]

Dial = Callable[[str, int], Awaitable[socket.socket | None]]

# Larger reads are worth their while to a stream that is fast, and keep everybody else waiting.
_READ_BYTES = 512 * 1024
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)


class Connector(aiohttp.TCPConnector):
    """Makes connections by TCP, or over sockets of `dial`; belongs to the running loop.

    Args:
        dial: As for `Dendrite`.
        **options: As for aiohttp's.
    """

    def __init__(self, *, dial: Dial | None, **options: Any) -> None:
        super().__init__(limit=0, limit_per_host=0, **options)
        self._dial = dial
        self._new = partial(Connection, self._loop, bytearray(_READ_BYTES))
        # What aiohttp makes for each socket, which need not be its own protocol.
        self._factory = cast("partial[ResponseHandler]", self._new)

    async def connected(self, peer: Peer) -> Connection:
        """Return a new connection to a peer, which is the caller's.

        Raises:
            aiohttp.ClientError: There is none.
            OSError: `dial` found none, or its socket can't be used.
        """
        sock = None if self._dial is None else await self._dial(peer.ip, peer.port)
        if sock is not None:
            return await self._over(sock)
        # It stands for a request where aiohttp asks for one, and is never sent.
        route = aiohttp.ClientRequest("POST", URL(peer.url), loop=self._loop)
        try:
            made: object = await self._create_connection(route, [], _NO_TIMEOUT)
        except aiohttp.ClientError as error:
            # aiohttp's frames refer to what they raise, which would keep all of a call until gc.
            cause = error.__cause__
            raise error.with_traceback(None) from cause and cause.with_traceback(None)
        assert isinstance(made, Connection)
        return made

    async def _over(self, sock: socket.socket) -> Connection:
        try:
            _, made = await self._loop.create_connection(self._new, sock=sock)
        except BaseException:
            sock.close()
            raise
        return made
