"""`ganglion network register|serve|show`: the registry by hand."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .wallet_names import add_wallet_flags, wallet_of

if TYPE_CHECKING:
    from node.network import Metagraph, Network

__all__ = ["add_parser"]

DEFAULT_PORT = 8091
ON_THIS_MACHINE = "127.0.0.1"
PIPE_COLUMNS = 240  # wide enough that nothing is cut where no terminal sets a width


def add_parser(subparsers: Any) -> None:
    """Add `network` and its own commands to the dispatcher's subparsers.

    Args:
        subparsers: What `ArgumentParser.add_subparsers` returned.
    """
    parser = subparsers.add_parser(
        "network",
        help="register on a network, publish an address, show who is there",
        description="Register on a network, publish where an axon answers, show who is there.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(
        dest="network_command", required=True, metavar="{register,serve,show}"
    )
    _add_register(commands)
    _add_serve(commands)
    _add_show(commands)


def run_register(args: argparse.Namespace) -> int:
    """Give the wallet's hotkey a uid, and set its stake and permit where asked.

    Returns:
        0.

    Raises:
        errors.NodeError: As `register` and `set_stake` of the network.
    """
    from node import errors
    from node.network.backend import Unguarded

    wallet = wallet_of(args)
    with _network_of(args) as network:
        wants_stake = args.stake is not None or args.validator_permit is not None
        if wants_stake and not isinstance(network, Unguarded):
            raise errors.ConfigError(f"stake and permits on {network.name!r} are not ours to set")
        uid = network.register(args.netuid, wallet)
        address = wallet.hotkey.ss58_address
        print(f"uid {uid}: {address} is registered on netuid {args.netuid} of {network.name}")
        if wants_stake and isinstance(network, Unguarded):
            network.set_stake(args.netuid, address, args.stake, args.validator_permit)
            print("stake and permit set; this is a test registry, and nobody checks them")
    return 0


def run_serve(args: argparse.Namespace) -> int:
    """Publish where the wallet's axon answers.

    Returns:
        0.

    Raises:
        errors.NodeError: As `serve` of the network; `ConfigError` for a bad address or port.
    """
    from node.network import Peer

    wallet = wallet_of(args)
    external_port = getattr(args, "axon.external_port")
    port = getattr(args, "axon.port") if external_port is None else external_port
    peer = Peer(wallet.hotkey.ss58_address, getattr(args, "axon.external_ip"), port)
    with _network_of(args) as network:
        network.serve(args.netuid, wallet, peer)
        what = f"serves at {peer.endpoint}" if peer.is_serving else "does not serve"
        print(f"{peer.hotkey} {what} on netuid {args.netuid} of {network.name}")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print a subnet's neurons as a table, or as JSON.

    Returns:
        0.

    Raises:
        errors.NodeError: As `metagraph` of the network.
    """
    with _network_of(args) as network:
        metagraph = network.metagraph(args.netuid)
        if args.json:
            _print_json(metagraph)
        elif metagraph.n == 0:
            command = ["ganglion", "network", "register", "--netuid", str(args.netuid)]
            command += ["--subtensor.network", network.name]
            print(f"netuid {args.netuid} of {network.name} has no neurons")
            print(f"register one with: {shlex.join(command)}")
        else:
            _print_table(metagraph)
    return 0


def _add_register(commands: Any) -> None:
    parser = _add_command(commands, "register", run_register, "give a hotkey a uid")
    add_wallet_flags(parser)
    group = parser.add_argument_group(
        "test registry",
        "set without any proof, on local and redis; a chain takes these from nobody",
    )
    group.add_argument("--stake", type=_stake, metavar="N", help="stake of this neuron")
    group.add_argument(
        "--validator_permit",
        action=argparse.BooleanOptionalAction,
        help="let this neuron validate, or not",
    )


def _add_serve(commands: Any) -> None:
    parser = _add_command(commands, "serve", run_serve, "publish where a hotkey's axon answers")
    add_wallet_flags(parser)
    group = parser.add_argument_group("axon")
    group.add_argument(
        "--axon.external_ip",
        dest="axon.external_ip",
        default=ON_THIS_MACHINE,
        metavar="HOST",
        help="address or host name that others reach (default: %(default)s)",
    )
    group.add_argument(
        "--axon.port",
        dest="axon.port",
        type=int,
        default=DEFAULT_PORT,
        metavar="PORT",
        help="port; 0 publishes that the neuron does not serve (default: %(default)s)",
    )
    group.add_argument(
        "--axon.external_port",
        dest="axon.external_port",
        type=int,
        metavar="PORT",
        help="port that others reach, where it is another one",
    )


def _add_show(commands: Any) -> None:
    parser = _add_command(commands, "show", run_show, "list a subnet's neurons")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary.capitalize()}.", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    group = parser.add_argument_group("network")
    group.add_argument("--netuid", type=int, required=True, metavar="N", help="the subnet")
    group.add_argument(
        "--subtensor.network",
        dest="subtensor.network",
        default="local",
        metavar="NAME",
        help="local, local:PATH, redis://HOST:PORT/DB, finney, test or ws://HOST:PORT "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--subtensor.allow_private",
        dest="subtensor.allow_private",
        action="store_true",
        help="take addresses that only some machines can reach; local always does",
    )
    return parser


def _stake(text: str) -> float:
    from node.network.arguments import MAX_STAKE

    # Here and not only in set_stake, so that a bad stake does not leave a hotkey registered.
    try:
        stake = float(text)
    except ValueError:
        stake = math.nan
    if not 0 <= stake <= MAX_STAKE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MAX_STAKE:g}")
    return stake


def _network_of(args: argparse.Namespace) -> Network:
    from node.network import open_network

    name = getattr(args, "subtensor.network")
    return open_network(name, getattr(args, "subtensor.allow_private"))


def _print_json(metagraph: Metagraph) -> None:
    import json

    neurons = [
        {
            "uid": uid,
            "hotkey": metagraph.hotkeys[uid],
            "coldkey": metagraph.coldkeys[uid],
            "axon": peer.endpoint if peer.is_serving else None,
            "protocols": list(peer.protocols) if peer.is_serving else [],
            "stake": metagraph.stake[uid],
            "validator_permit": metagraph.validator_permit[uid],
            "incentive": metagraph.incentive[uid],
            "last_update": metagraph.last_update[uid],
        }
        for uid, peer in enumerate(metagraph.axons)
    ]
    subnet = {
        "network": metagraph.network,
        "netuid": metagraph.netuid,
        "block": metagraph.block,
        "neurons": neurons,
    }
    print(json.dumps(subnet, indent=2))


def _print_table(metagraph: Metagraph) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"netuid {metagraph.netuid} of {metagraph.network}, block {metagraph.block}",
        title_justify="left",
    )
    for heading in ("uid", "hotkey", "axon", "protocols", "stake", "permit", "incentive"):
        is_number = heading in {"uid", "stake", "incentive"}
        is_long = heading in {"axon", "protocols"}
        table.add_column(
            heading,
            justify="right" if is_number else "left",
            no_wrap=not is_long,
            overflow="fold",
        )
    for uid, peer in enumerate(metagraph.axons):
        table.add_row(
            str(uid),
            _short(metagraph.hotkeys[uid]),
            peer.endpoint if peer.is_serving else "-",
            ", ".join(peer.protocols) or "-",
            f"{metagraph.stake[uid]:g}",
            "yes" if metagraph.validator_permit[uid] else "-",
            f"{metagraph.incentive[uid]:.4f}",
        )
    width = None if sys.stdout.isatty() else PIPE_COLUMNS
    # Without markup, because the address of an IPv6 axon is in brackets.
    Console(width=width, markup=False, emoji=False).print(table)


def _short(address: str) -> str:
    return f"{address[:6]}...{address[-4:]}"
