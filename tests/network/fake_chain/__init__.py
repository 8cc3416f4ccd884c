"""A stand-in for the live Bittensor chain, for tests of what talks to it.

It stands for the chain alone: the official SDK above it is the real one, with its codec, its
signing, its websocket client and its reconnecting. A node of this chain answers JSON-RPC on a
websocket on loopback, describes a small runtime in the chain's own metadata format, checks
signature, era and nonce of what is submitted, and applies the chain's rules for the calls that a
neuron makes. It has one author, no forks, no balances and no consensus: a block is made by each
extrinsic, and is final at once.

::

    with fake_chain() as chain:
        chain.register(8, keypair.ss58_address, stake=1000.0)
        with open_network(chain.url) as network:
            network.metagraph(8)
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .chain import NOBODY, Chain
from .extrinsic import Extrinsic
from .server import Server
from .subnet import Axon, Commit, FakeNeuron, Refused, Rules, Subnet

__all__ = [
    "NOBODY",
    "Axon",
    "Commit",
    "Extrinsic",
    "FakeChain",
    "FakeNeuron",
    "Refused",
    "Rules",
    "Subnet",
    "fake_chain",
]


class FakeChain:
    """The chain and its one node. Made by `fake_chain`."""

    def __init__(self) -> None:
        self._chain = Chain()
        self._server = Server(self._chain)

    @property
    def url(self) -> str:
        """What `open_network` takes."""
        return f"ws://127.0.0.1:{self._server.port}"

    @property
    def block(self) -> int:
        """The number of the newest block."""
        return self._chain.head

    @property
    def extrinsics(self) -> list[Extrinsic]:
        """What was put into blocks, in order, successful or not."""
        return self._chain.extrinsics

    @property
    def calls(self) -> Counter[str]:
        """How often each RPC method and runtime API was called."""
        return self._server.calls

    @property
    def connections(self) -> int:
        """How many websockets are open."""
        return self._server.connections

    def subnet(self, netuid: int) -> Subnet:
        """A subnet with its `rules`, `neurons` by uid, and `commits`; made where there is none."""
        return self._chain.subnets.setdefault(netuid, Subnet())

    def register(self, netuid: int, hotkey: str, coldkey: str = NOBODY, **fields: Any) -> int:
        """Give a hotkey the next uid.

        Args:
            netuid: Made where there is none.
            hotkey: SS58 address.
            coldkey: SS58 address.
            **fields: Others of `FakeNeuron`: stake (TAO), validator_permit, incentive, axon.
        """
        with self._server.lock:
            return self._chain.register(netuid, hotkey, coldkey, **fields)

    def weights(self, netuid: int, hotkey: str) -> dict[int, int]:
        """What a hotkey's weights are in storage, as 16-bit numbers by uid."""
        subnet = self.subnet(netuid)
        uid = subnet.uid_of(hotkey)
        return {} if uid is None else dict(subnet.neurons[uid].weights)

    def advance(self, blocks: int = 1) -> int:
        """Make empty blocks; returns the number of the newest."""
        with self._server.lock:
            return self._chain.advance(blocks)

    def stop(self) -> None:
        """Hang up on everybody and refuse connections."""
        self._server.stop()

    def start(self) -> None:
        """Serve again, on the same port."""
        self._server.start()

    def silence(self, *methods: str) -> None:
        """Give no reply to these methods; to all with "*", to none of them without any."""
        self._server.silent = set(methods)

    def fail(self, method: str, error: dict[str, Any] | None) -> None:
        """Answer a method with a JSON-RPC error, or properly again with None."""
        if error is None:
            self._server.errors.pop(method, None)
        else:
            self._server.errors[method] = error

    def answer(self, method: str, result: Any) -> None:
        """Answer a method with this result, or properly again with None."""
        if result is None:
            self._server.answers.pop(method, None)
        else:
            self._server.answers[method] = result

    def report(self, *statuses: str) -> None:
        """What is said of each submitted extrinsic: ready, inBlock, finalized; or dropped, ..."""
        self._server.statuses = statuses


@contextmanager
def fake_chain() -> Iterator[FakeChain]:
    """Run a chain without subnets until the block ends. What the SDK caches goes with it."""
    names = ("BITTENSOR_RUNTIME_CACHE_DIR", "BTCLI_TOKEN_SYMBOLS_CACHE")
    before = {name: os.environ.get(name) for name in names}
    chain = FakeChain()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[names[0]] = folder
        os.environ[names[1]] = str(Path(folder) / "symbols.json")
        chain.start()
        try:
            yield chain
        finally:
            chain.stop()
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
