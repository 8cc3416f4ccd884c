"""Connections that are made in memory, to addresses that nothing listens on.

A connection is a pair of connected sockets (`socket.socketpair`): the kernel's own flow control
holds on it, and no port is taken.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable

__all__ = ["Switchboard", "memory_address", "socket_pair"]

Accept = Callable[[socket.socket], Awaitable[None]]

# Loopback addresses: what is dialled without the switchboard is refused at once, and no packet
# leaves the machine. Nobody listens on port 1.
_PORT = 1
_PER_BLOCK = 250


def memory_address(index: int) -> tuple[str, int]:
    """Return the host and port of the peer with this number; every one has a host of its own."""
    block, last = divmod(index, _PER_BLOCK)
    return f"127.77.{block}.{last + 1}", _PORT


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected stream sockets, non-blocking; whoever asks closes both."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


class Switchboard:
    """Connects callers with those that were plugged in under an address."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int], Accept | None] = {}

    def plug(self, address: tuple[str, int], accept: Accept) -> None:
        """Let calls to an address through to `accept`, which then owns the socket it is given."""
        self._lines[address] = accept

    def unplug(self, address: tuple[str, int]) -> None:
        """Refuse calls to an address from now on."""
        self._lines[address] = None

    async def dial(self, host: str, port: int) -> socket.socket | None:
        """Connect, as `Dendrite(dial=)` asks for it.

        Returns:
            A connected socket, the caller's to close; None for an address that was never here.

        Raises:
            ConnectionRefusedError: Nobody answers at the address now.
        """
        address = (host, port)
        if address not in self._lines:
            return None
        accept = self._lines[address]
        if accept is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        near, far = socket_pair()
        try:
            await accept(far)
        except BaseException:
            near.close()
            raise
        return near
