"""What every network backend offers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol, Self, runtime_checkable

from node.keys import Keypair, Wallet

from .peer import Peer

__all__ = ["Announcing", "Changes", "Expiring", "Network", "Unguarded"]


class Changes(Protocol):
    """Goes on for ever, with an item for each change or burst of them; an item says only that.

    The first comes when it has begun to listen. It survives lost connections, and has an item after
    each, since something may have been missed. Whoever got it closes it.
    """

    def __aiter__(self) -> AsyncIterator[None]: ...
    async def __anext__(self) -> None: ...
    async def aclose(self) -> None:
        """End it. May be called again, and from another task."""


@runtime_checkable
class Announcing(Protocol):
    """A network that tells of changes, so that nobody needs to ask all the time."""

    def changes(self, netuid: int) -> Changes:
        """Tell of a subnet's changes, inside a running loop."""


@runtime_checkable
class Expiring(Protocol):
    """A network on which a published address lasts only for a time.

    Attributes:
        serve_ttl_s: Seconds that one lasts when `serve` is not told.
    """

    serve_ttl_s: float


@runtime_checkable
class Unguarded(Protocol):
    """A registry in which whoever can write sets stake and permits, for tests. It costs nothing."""

    def set_stake(
        self,
        netuid: int,
        hotkey: str,
        stake: float | None = None,
        validator_permit: bool | None = None,
    ) -> Any:
        """Set a neuron's stake and permit, where not None; raises `errors.NotRegistered`."""


@runtime_checkable
class Network(Protocol):
    """A registry of neurons: who has which uid, where it answers, what it thinks of the others.

    All methods are dual mode (`node.network.dual_mode`): without a running event loop they return
    their result, inside one an awaitable of it. They raise `errors.NetworkError` where the registry
    can't be read or written, or is closed. Constructing a network does no I/O.

    Attributes:
        name: The name that it was opened by.
    """

    name: str

    def register(self, netuid: int, wallet: Wallet | Keypair) -> Any:
        """Give the wallet's hotkey a uid (int), the one that it has where it has one."""

    def serve(
        self, netuid: int, wallet: Wallet | Keypair, peer: Peer, ttl_s: float | None = None
    ) -> Any:
        """Publish where the hotkey's axon answers; raises `errors.NotRegistered`.

        A record lasts `ttl_s` seconds and is to be renewed before; None takes the backend's own
        time, which for a file or a chain is without end.
        """

    def metagraph(self, netuid: int) -> Any:
        """The subnet's `Metagraph`; an unknown subnet has no neurons."""

    def hyperparameters(self, netuid: int) -> Any:
        """The subnet's `Hyperparameters`."""

    def set_weights(
        self,
        netuid: int,
        wallet: Wallet | Keypair,
        uids: Iterable[int],
        weights: Iterable[float],
        *,
        version_key: int = 0,
    ) -> Any:
        """Publish what the hotkey thinks of the others; raises `errors.NotRegistered`.

        Args:
            netuid: The subnet.
            wallet: Whose judgement it is.
            uids: Whom it is about.
            weights: One for each, from 0.
            version_key: The validator's version, for chains whose subnets demand one.
        """

    def close(self) -> Any:
        """Release what the network holds. May be called again."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
