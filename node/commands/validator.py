"""`ganglion validator`: ask peers, score them and set weights, until a signal ends it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from node.neuron.flags import build_parser
from node.neuron.resolver import resolve

__all__ = ["main"]


def main(argv: Sequence[str], prog: str) -> int:
    """Runs the default validator; returns its exit code.

    Raises:
        NodeError: A setting or the wallet can't be used.
    """
    parser = build_parser(
        "validator",
        prog=prog,
        description="Ask a sample of the subnet's peers every few seconds, score their replies, "
        "and set weights every epoch. SIGINT or SIGTERM ends it; what was scored is kept.",
    )
    config = resolve(parser, argv)
    from node.neuron.validator import Validator

    from .board import board_for

    return Validator(config, board=board_for(sys.stderr)).run_to_end(prog)
