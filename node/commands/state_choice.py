"""Which validator's state a command is about: a file, or the validator whose it is."""

from __future__ import annotations

import argparse
from pathlib import Path

from node.errors import ConfigError
from node.neuron.values import netuid

from .wallet_names import add_wallet_flags, wallet_of

__all__ = ["add_state_flags", "chosen_state"]


def add_state_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--state`, and `--netuid`, `--subtensor.network` and `--wallet.*` in its place."""
    group = parser.add_argument_group("state", "a file, or the validator that it belongs to")
    group.add_argument("--state", metavar="FILE", help="the state's file")
    group.add_argument("--netuid", type=netuid, metavar="N", help="the validator's subnet")
    group.add_argument(
        "--subtensor.network",
        dest="subtensor.network",
        metavar="NAME",
        help="the validator's network (default: local)",
    )
    add_wallet_flags(parser)


def chosen_state(args: argparse.Namespace) -> Path:
    """The file that the flags name. Whether it is there is not looked at.

    Raises:
        ConfigError: Neither a file nor a subnet is named, or both are; or the network is none.
        WalletError: The wallet's public half can't be read.
    """
    network: str | None = getattr(args, "subtensor.network")
    if args.state is not None:
        if args.netuid is not None or network is not None:
            raise ConfigError("--state names the file; leave --netuid and --subtensor.network out")
        return Path(args.state).expanduser()
    if args.netuid is None:
        raise ConfigError("name the state: --state FILE, or --netuid N and the wallet")
    from node.network import open_network
    from node.neuron.state import state_path

    # The network's own name, as a validator has it: it may differ from how it was written.
    with open_network(network or "local") as opened:
        name = opened.name
    return state_path(args.netuid, wallet_of(args).hotkeypub.ss58_address, name)
