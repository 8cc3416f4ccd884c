"""Ganglion: one aiohttp process that is both halves of a network node.

The axon serves typed forward routes to callers who prove who they are; the dendrite fans
requests out to peers and hands each streamed reply back as an async generator.

Names load on first use, so that `import node` costs little and needs only what is used.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from .version import VERSION

if TYPE_CHECKING:
    from . import errors, wire
    from .axon import Axon
    from .dendrite import Deadlines, Dendrite, Dormancy, Stream
    from .keys import Keypair, Wallet
    from .network import Hyperparameters, Metagraph, Peer, open_network
    from .neuron.miner import Miner
    from .neuron.reply import Reply, Verdict
    from .neuron.validator import Validator
    from .streams import stream_reader, stream_types, stream_writer
    from .synapse import StreamingSynapse, Synapse, TerminalInfo, TextStream
    from .typed_synapse import TypedStream
    from .wire import Caller

__all__ = [
    "Axon",
    "Caller",
    "Deadlines",
    "Dendrite",
    "Dormancy",
    "Hyperparameters",
    "Keypair",
    "Metagraph",
    "Miner",
    "Peer",
    "Reply",
    "Stream",
    "StreamingSynapse",
    "Synapse",
    "TerminalInfo",
    "TextStream",
    "TypedStream",
    "Validator",
    "Verdict",
    "Wallet",
    "__version__",
    "errors",
    "open_network",
    "stream_reader",
    "stream_types",
    "stream_writer",
    "wire",
]

_HOMES = {
    "Axon": ".axon",
    "Caller": ".wire",
    "Deadlines": ".dendrite",
    "Dendrite": ".dendrite",
    "Dormancy": ".dendrite",
    "Hyperparameters": ".network",
    "Keypair": ".keys",
    "Metagraph": ".network",
    "Miner": ".neuron.miner",
    "Peer": ".network",
    "Reply": ".neuron.reply",
    "Stream": ".dendrite",
    "StreamingSynapse": ".synapse",
    "Synapse": ".synapse",
    "TerminalInfo": ".synapse",
    "TextStream": ".synapse",
    "TypedStream": ".typed_synapse",
    "Validator": ".neuron.validator",
    "Verdict": ".neuron.reply",
    "Wallet": ".keys",
    "open_network": ".network",
    "stream_reader": ".streams",
    "stream_types": ".streams",
    "stream_writer": ".streams",
}

__version__ = VERSION

# A library leaves logging to the program; without a handler Python would print to stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name in {"errors", "wire"}:
        value: Any = importlib.import_module(f".{name}", __name__)
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
