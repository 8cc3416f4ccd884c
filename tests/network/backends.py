"""The backends that one suite runs over, and how a test gets at what only each backend can do.

Another backend joins by a class here with the attributes and methods of `Backend`, and its name in
`BACKENDS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Protocol

import pytest

from node import Keypair
from node.network import Network
from node.network.chain import ChainNetwork
from node.network.local import LocalNetwork
from node.network.redis_network import RedisNetwork
from tests.network.fake_chain import FakeChain, fake_chain

__all__ = ["BACKENDS", "Backend", "Clock"]


class Clock:
    """The time, or another one; nanoseconds."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead_ns


class Backend(Protocol):
    """One empty registry, and what tests need to know of its kind.

    Attributes:
        name: Of the kind.
        gives_uids: Whether `register` gives a hotkey a uid.
        keeps_records: Whether it keeps records signed by hotkeys, so that a peer is listed with all
            that was published, and for a time if so asked.
        default_ttl_s: Seconds that a published address lasts by itself; None is for ever.
    """

    name: str
    gives_uids: bool
    keeps_records: bool
    default_ttl_s: float | None
    clock: Clock

    def open(self) -> Network:
        """Another network on the same registry; the test closes it."""

    def join(self, netuid: int, keypair: Keypair) -> int:
        """Get a hotkey a uid, as its owner would."""

    def endow(self, netuid: int, keypair: Keypair, stake: float, permit: bool) -> None:
        """Give a neuron a stake and a permit, as the network would."""


class LocalBackend:
    """A file."""

    name = "local"
    gives_uids = True
    keeps_records = True
    default_ttl_s: float | None = None

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.clock = Clock()
        self._path = request.getfixturevalue("tmp_path") / "registry.db"

    def open(self) -> LocalNetwork:
        return LocalNetwork(self._path, clock=self.clock)

    def join(self, netuid: int, keypair: Keypair) -> int:
        with self.open() as network:
            uid: int = network.register(netuid, keypair)
            return uid

    def endow(self, netuid: int, keypair: Keypair, stake: float, permit: bool) -> None:
        with self.open() as network:
            network.set_stake(netuid, keypair.ss58_address, stake, permit)


class RedisBackend:
    """A Redis that runs."""

    name = "redis"
    gives_uids = True
    keeps_records = True
    default_ttl_s: float | None = 3600.0

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.clock = Clock()
        self._url: str = request.getfixturevalue("redis_url")

    def open(self) -> RedisNetwork:
        return RedisNetwork(self._url, clock=self.clock)

    def join(self, netuid: int, keypair: Keypair) -> int:
        with self.open() as network:
            uid: int = network.register(netuid, keypair)
            return uid

    def endow(self, netuid: int, keypair: Keypair, stake: float, permit: bool) -> None:
        with self.open() as network:
            network.set_stake(netuid, keypair.ss58_address, stake, permit)


class ChainBackend:
    """The Bittensor chain's backend and the real SDK, on a stand-in for the chain."""

    name = "chain"
    gives_uids = False
    keeps_records = False
    default_ttl_s: float | None = None

    def __init__(self, request: pytest.FixtureRequest) -> None:
        pytest.importorskip("bittensor")
        self.clock = Clock()
        running = ExitStack()
        request.addfinalizer(running.close)
        self._chain: FakeChain = running.enter_context(fake_chain())

    def open(self) -> ChainNetwork:
        return ChainNetwork(self._chain.url)

    def join(self, netuid: int, keypair: Keypair) -> int:
        return self._chain.register(netuid, keypair.ss58_address)

    def endow(self, netuid: int, keypair: Keypair, stake: float, permit: bool) -> None:
        subnet = self._chain.subnet(netuid)
        uid = subnet.uid_of(keypair.ss58_address)
        assert uid is not None
        subnet.neurons[uid].stake, subnet.neurons[uid].validator_permit = stake, permit


BACKENDS: Mapping[str, Callable[[pytest.FixtureRequest], Backend]] = {
    LocalBackend.name: LocalBackend,
    RedisBackend.name: RedisBackend,
    ChainBackend.name: ChainBackend,
}
