"""One peer of a test network, from start to stop and back: in memory or on loopback."""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from node.keys import Keypair
from node.network import Peer

from .behaviour import Behaviour
from .memory import Switchboard
from .relay import Relay
from .serving import FaultyAxon

__all__ = ["LoopbackMember", "Member", "MemoryMember"]

_LOOPBACK = "127.0.0.1"

MakeAxon = Callable[[str, int], Awaitable[FaultyAxon]]


class Member(ABC):
    """A peer with a key, an address that it keeps, and a behaviour.

    Args:
        keypair: Its hotkey.
        behaviour: How it differs from an honest peer.
        make_axon: Makes its axon for a host and port; called at every start.
        address: That host and port.
    """

    def __init__(
        self,
        keypair: Keypair,
        behaviour: Behaviour,
        make_axon: MakeAxon,
        address: tuple[str, int],
    ) -> None:
        self.keypair = keypair
        self.behaviour = behaviour
        self._make_axon = make_axon
        self._address = address
        self._axon: FaultyAxon | None = None
        self._relay: Relay | None = None
        self._peer: Peer | None = None

    @property
    def peer(self) -> Peer:
        """Where it answers; known from its first start on."""
        assert self._peer is not None
        return self._peer

    @property
    def is_up(self) -> bool:
        """Whether it is started; also one that is absent by its nature."""
        return self._axon is not None

    async def start(self) -> None:
        """Serve, at the address of before if there was one; does nothing when it is up.

        Raises:
            ConfigError: The forward is no route, an option is wrong, or the port was taken.
            NetworkError: The metagraph can't be read.
        """
        if self._axon is not None:
            return
        self._axon = axon = await self._make_axon(*self._address)
        if self.behaviour.touches_bytes:
            self._relay = Relay(self.behaviour, axon.accept)
        try:
            await self._open(axon)
        except BaseException:
            await self.stop()
            raise
        self._address = axon.ip, axon.port
        self._peer = axon.info()

    async def stop(self) -> None:
        """Go down at once, as a process that is killed: connections break. Safe to call twice."""
        axon, self._axon = self._axon, None
        relay, self._relay = self._relay, None
        await self._close()
        if axon is not None:
            await axon.stop(grace_s=0.0)
        if relay is not None:
            await relay.close()

    @abstractmethod
    async def _open(self, axon: FaultyAxon) -> None:
        """Start the axon and let connections reach it."""

    @abstractmethod
    async def _close(self) -> None:
        """Let no more connections in."""


class MemoryMember(Member):
    """A peer whose connections are made in memory.

    Args:
        keypair: As for `Member`.
        behaviour: As for `Member`.
        make_axon: As for `Member`.
        address: As for `Member`.
        switchboard: What lets callers through.
    """

    def __init__(
        self,
        keypair: Keypair,
        behaviour: Behaviour,
        make_axon: MakeAxon,
        address: tuple[str, int],
        switchboard: Switchboard,
    ) -> None:
        super().__init__(keypair, behaviour, make_axon, address)
        self._switchboard = switchboard

    async def _open(self, axon: FaultyAxon) -> None:
        if self.behaviour.is_absent:
            self._switchboard.unplug(self._address)
            return
        await axon.start(listen=False)
        accept = axon.accept if self._relay is None else self._relay.take
        self._switchboard.plug(self._address, accept)

    async def _close(self) -> None:
        self._switchboard.unplug(self._address)


class LoopbackMember(Member):
    """A peer that listens on a port of 127.0.0.1, the same one after a restart."""

    def __init__(self, keypair: Keypair, behaviour: Behaviour, make_axon: MakeAxon) -> None:
        super().__init__(keypair, behaviour, make_axon, (_LOOPBACK, 0))
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None

    async def _open(self, axon: FaultyAxon) -> None:
        if self.behaviour.is_absent:
            # Bound and not listening: the port is its own and refuses every connection.
            self._held = socket.socket()
            self._held.bind(self._address)
            axon.port = int(self._held.getsockname()[1])
        elif self._relay is not None:
            self._server = await asyncio.start_server(
                self._relay.serve, *self._address, start_serving=False
            )
            axon.port = int(self._server.sockets[0].getsockname()[1])
            await axon.start(listen=False)
            await self._server.start_serving()
        else:
            await axon.start()

    async def _close(self) -> None:
        server, self._server = self._server, None
        held, self._held = self._held, None
        if server is not None:
            server.close()
        if held is not None:
            held.close()
