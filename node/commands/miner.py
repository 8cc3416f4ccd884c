"""`ganglion miner`: the default miner, from flags to drain."""

from __future__ import annotations

from collections.abc import Sequence

from node.neuron.flags import build_parser
from node.neuron.resolver import resolve

__all__ = ["main"]


def main(argv: Sequence[str], prog: str) -> int:
    """Serves until SIGINT or SIGTERM; returns the exit code.

    Raises:
        NodeError: A setting, the wallet, the network or the port can't be used.
    """
    parser = build_parser(
        "miner",
        prog=prog,
        description="Serve a miner: an axon that streams each prompt's answer token by token. "
        "SIGTERM or Ctrl-C drains it; a second one ends it at once.",
    )
    config = resolve(parser, argv)
    # After the settings: --help and a misspelt flag need not wait for aiohttp.
    from node.neuron.miner import Miner

    return Miner(config).run_to_end(prog)
