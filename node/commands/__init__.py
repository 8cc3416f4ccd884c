"""The commands of `python -m node`, one module each; `node.cli` imports only the one that runs.

A command's module has either `add_parser(subparsers)`, whose leaf parsers `set_defaults(run=f)`
with `f(args) -> int`, or `main(argv, prog) -> int`, where it reads its settings with `resolve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["COMMANDS"]

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "miner": "serve a miner until a signal ends it",
        "validator": "ask peers, score them and set weights until a signal ends it",
        "scores": "show or export what a validator has found",
        "report": "draw what a validator has found, as one HTML file",
        "query": "stream one prompt through several peers and compare them",
        "receipt": "check what a node signed about a reply",
        "wallet": "make, list, show and import wallets",
        "network": "register on a local network, publish an address, show who is there",
        "doctor": "check a neuron before it is launched, or when nobody calls it",
        "demo": "start three miners on this machine and stream a prompt through them",
    }
)
"""Name and purpose of each command, in the order of `--help`."""
