"""The names of the Bittensor SDK, versions 6 to 10, on this library: `import node.compat as bt`.

Miner, validator and client code of those versions runs after changing its one import line; what
differs is in docs/migrating.md. New code uses `node` itself, and nothing else in `node` imports
this package.

Names are there in both spellings, `bt.axon` of SDK 6-9 and `bt.Axon` of SDK 8-10. Most blocks the
caller, as it did there: a miner needs no event loop of its own.
"""

from __future__ import annotations

from typing import Any

from . import endpoint, messages
from .chain import MockSubtensor, Outcome, Subtensor
from .client import Dendrite
from .endpoint import AxonInfo
from .graph import Metagraph, NeuronInfo
from .keyring import Keypair, Wallet
from .log import Logging, logging
from .messages import BTStreamingResponseModel, Send, StreamingSynapse, Synapse, TerminalInfo
from .miner import Miner
from .server import Axon
from .settings import Config

__all__ = [
    "Axon",
    "AxonInfo",
    "BTStreamingResponseModel",
    "Config",
    "Dendrite",
    "Keypair",
    "Logging",
    "Metagraph",
    "Miner",
    "MockSubtensor",
    "NeuronInfo",
    "Outcome",
    "Send",
    "StreamingSynapse",
    "Subtensor",
    "Synapse",
    "TerminalInfo",
    "Wallet",
    "__version__",
    "axon",
    "config",
    "dendrite",
    "logging",
    "metagraph",
    "subtensor",
    "wallet",
]

__version__ = "10.5.0"
"""The SDK release whose names these are, for code that compares it; ours is `node.__version__`."""

axon = Axon
config = Config
dendrite = Dendrite
metagraph = Metagraph
subtensor = Subtensor
wallet = Wallet

trace = logging.set_trace
debug = logging.set_debug
info = logging.set_info
warning = logging.set_warning

# Where code finds the classes besides: bt.synapse.Synapse, bt.stream.StreamingSynapse,
# bt.chain_data.AxonInfo.
synapse = stream = messages
chain_data = endpoint


def __getattr__(name: str) -> Any:
    if name in {"defaults", "DEFAULTS"}:
        return Config()
    raise AttributeError(f"node.compat has no {name!r}; docs/migrating.md says what to use instead")
