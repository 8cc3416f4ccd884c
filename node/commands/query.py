"""`ganglion query`: one prompt through several peers, tokens as they come, and a table."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import ConfigError
from node.neuron.chosen_network import allows_private, network_name
from node.neuron.config import Config
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve

if TYPE_CHECKING:
    from node.keys import Wallet
    from node.network import Metagraph, Peer

    from .replies import Reply, Target

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
    _check_outputs(config)
    # After the settings: --help and a misspelt flag need not wait for these.
    from node.neuron.log_setup import logging_for
    from node.neuron.wallets import open_wallet

    with logging_for(config):
        wallet = open_wallet(config)
        targets = _given(config) if config["peers"] else _listed(config, wallet)
        if not targets:
            sys.stderr.write(f"{prog}: {_nobody(config)}\n")
            return 1
        replies = asyncio.run(_ask(config, wallet, targets))
        _show(config, replies)
    return 0 if any(reply.is_good for reply in replies) else 1


def _check_who(config: Config) -> None:
    if config["peers"] and config["uids"]:
        raise ConfigError("--uids and --peers can't be used together: --peers needs no network")
    if config["netuid"] is None and not config["peers"]:
        raise ConfigError("--netuid is required, unless --peers says who is asked")


def _check_outputs(config: Config) -> None:
    """Refuses what could only fail after everybody was asked."""
    if config["plot"]:
        from .plots import check_can_plot

        check_can_plot(_path(config, "plot"))
    if config["save"]:
        from .saved_reply import check_can_save

        check_can_save(_path(config, "save"))


def _path(config: Config, name: str) -> Path:
    try:
        return Path(config[name]).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"--{name} names the home folder of nobody") from error


def _given(config: Config) -> list[Target]:
    from node.network import load_peers, parse_peers

    from .replies import Target

    items = config["peers"]
    if len(items) == 1 and ("@" not in items[0] or Path(items[0]).expanduser().is_file()):
        peers = load_peers(items[0])
    else:
        peers = parse_peers(",".join(items))
    return [Target(peer) for peer in peers]


def _listed(config: Config, wallet: Wallet) -> list[Target]:
    from node.network import open_network

    from .replies import Target

    with open_network(network_name(config), allows_private(config)) as network:
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
    from node.network.redis_address import without_password

    where = f"netuid {config['netuid']} of {without_password(network_name(config))}"
    return f"nobody else serves on {where}; start a miner first"


async def _ask(config: Config, wallet: Wallet, targets: list[Target]) -> list[Reply]:
    from .asking import ask
    from .display import display_for
    from .replies import Reply

    replies = [Reply(target) for target in targets]
    with display_for(replies) as display:
        await ask(
            wallet,
            replies,
            config["prompt"],
            timeout_s=config["neuron.timeout"],
            display=display,
            protocols=config["dendrite.protocols"],
            # Who is named on the command line is who is meant, wherever he is.
            allow_private=bool(config["peers"]) or allows_private(config),
            keep=bool(config["save"]),
        )
    return replies


def _show(config: Config, replies: list[Reply]) -> None:
    from .reply_table import print_table

    print_table(replies, wide=config["wide"])
    if config["save"]:
        folder = _path(config, "save")
        saved = [(reply.saved, reply.target.file_label) for reply in replies if reply.saved]
        for reply, label in saved:
            reply.write(folder, label)
        print(f"{len(saved)} of {len(replies)} replies have a receipt and are saved in {folder}")
    if config["plot"]:
        from .plots import draw

        path = _path(config, "plot")
        draw(replies, path)
        print(f"plotted to {path}")
