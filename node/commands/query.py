"""`ganglion query`: one prompt through several peers, tokens as they come, and a table."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import ConfigError
from node.neuron.config import Config
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve

if TYPE_CHECKING:
    from node.keys import Wallet
    from node.network import Metagraph, Peer

    from .display import Target

__all__ = ["main"]


def main(argv: Sequence[str], prog: str) -> int:
    """Asks; returns 0 when at least one peer answered with success, 1 when none did.

    Raises:
        NodeError: A setting, the wallet, the network or a peer can't be used as given.
    """
    parser = build_parser(
        "query",
        prog=prog,
        description="Stream one prompt through several peers at once: those of --uids, those of "
        "--peers, or all that serve on the network. Ends with a table of how each did, and with "
        "exit code 0 if at least one answered.",
    )
    config = resolve(parser, argv)
    _check_who(config)
    # After the settings: --help and a misspelt flag need not wait for these.
    from node.neuron.log_setup import logging_for
    from node.neuron.wallets import open_wallet

    with logging_for(config):
        wallet = open_wallet(config)
        targets = _given(config) if config["peers"] else _listed(config, wallet)
        if not targets:
            sys.stderr.write(f"{prog}: {_nobody(config)}\n")
            return 1
        return asyncio.run(_ask(config, wallet, targets))


def _check_who(config: Config) -> None:
    if config["peers"] and config["uids"]:
        raise ConfigError("--uids and --peers can't be used together: --peers needs no network")
    if config["netuid"] is None and not config["peers"]:
        raise ConfigError("--netuid is required, unless --peers says who is asked")


def _given(config: Config) -> list[Target]:
    from node.network import load_peers, parse_peers

    from .display import Target

    items = config["peers"]
    if len(items) == 1 and ("@" not in items[0] or Path(items[0]).expanduser().is_file()):
        peers = load_peers(items[0])
    else:
        peers = parse_peers(",".join(items))
    return [Target(peer) for peer in peers]


def _listed(config: Config, wallet: Wallet) -> list[Target]:
    from node.network import open_network

    from .display import Target

    name = config["subtensor.chain_endpoint"] or config["subtensor.network"]
    with open_network(name) as network:
        metagraph: Metagraph = network.metagraph(config["netuid"])
    if config["uids"]:
        uids = _checked_uids(config, metagraph)
    else:
        own = metagraph.uid_of(wallet.hotkey.ss58_address)
        uids = [uid for uid in metagraph.uids if _may_be_asked(metagraph.axons[uid], uid, own)]
    if len(uids) > config["neuron.sample_size"] and not config["uids"]:
        uids = sorted(random.sample(uids, config["neuron.sample_size"]))
    return [Target(metagraph.axons[uid], uid) for uid in uids]


def _may_be_asked(peer: Peer, uid: int, own: int | None) -> bool:
    return peer.is_serving and uid != own


def _checked_uids(config: Config, metagraph: Metagraph) -> list[int]:
    where = f"netuid {config['netuid']} of {metagraph.network}"
    uids = list(dict.fromkeys(config["uids"]))
    for uid in uids:
        if uid >= metagraph.n:
            there = f"its uids are 0 to {metagraph.n - 1}" if metagraph.n else "it has no neurons"
            raise ConfigError(f"there is no uid {uid} on {where}: {there}")
        if not metagraph.axons[uid].is_serving:
            raise ConfigError(f"uid {uid} on {where} does not serve; leave it out of --uids")
    return uids


def _nobody(config: Config) -> str:
    name = config["subtensor.chain_endpoint"] or config["subtensor.network"]
    return f"nobody else serves on netuid {config['netuid']} of {name}; start a miner first"


async def _ask(config: Config, wallet: Wallet, targets: list[Target]) -> int:
    from .display import display_for
    from .replies import ask, print_table

    with display_for(targets) as display:
        replies = await ask(
            wallet, targets, config["prompt"], timeout_s=config["neuron.timeout"], display=display
        )
    print_table(replies)
    return 0 if any(reply.status == 200 for reply in replies) else 1
