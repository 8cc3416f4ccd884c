"""A metagraph of made-up peers, of any size."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from random import Random

from node.keys import ss58_encode
from node.network import Metagraph, Peer
from node.network.metagraph import Neuron, Snapshot

from .kinds import Kind, assign

__all__ = ["Subnet", "make_subnet"]


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet and what its peers are.

    Attributes:
        metagraph: As a validator reads it.
        kinds: By uid.
        own_key: The validator's public key; it has no uid.
    """

    metagraph: Metagraph
    kinds: list[Kind]
    own_key: bytes

    @property
    def own_hotkey(self) -> str:
        """The validator's address."""
        return ss58_encode(self.own_key)


def make_subnet(count: int, rng: Random) -> Subnet:
    """Return a subnet of `count` serving peers. Their keys belong to nobody."""
    neurons = [_neuron(uid) for uid in range(count)]
    metagraph = Metagraph(8, "simulated", Snapshot.of(neurons, block=0))
    return Subnet(metagraph, assign(count, rng), hashlib.sha256(b"validator").digest())


def _neuron(uid: int) -> Neuron:
    key = hashlib.sha256(f"peer {uid}".encode()).digest()
    host = f"8.{uid >> 16 & 255}.{uid >> 8 & 255}.{uid & 255}"
    return Neuron(uid=uid, public_key=key, peer=Peer(ss58_encode(key), host, 8091), stake=1.0)
