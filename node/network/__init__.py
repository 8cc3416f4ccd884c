"""Who is on a network, and where: peers, metagraphs, registries."""

from __future__ import annotations

from .backend import Network
from .hyperparameters import Hyperparameters
from .metagraph import Metagraph
from .opening import open_network
from .peer import Peer, load_peers, parse_peers

__all__ = [
    "Hyperparameters",
    "Metagraph",
    "Network",
    "Peer",
    "load_peers",
    "open_network",
    "parse_peers",
]
