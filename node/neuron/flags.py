"""The flags of Ganglion's programs: a table, and the parser that it makes.

Names and defaults are those that operators of Bittensor neurons already use; what a flag does is
in its help text. Four kinds of program share the table: the miner, the validator, `ganglion query`,
and the client that a user writes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from node.errors import ConfigError

from .parsers import Parser, RefusedSwitch, option_names
from .values import (
    CommaList,
    at_least,
    ending_in,
    fraction,
    ip_address,
    named,
    nearest,
    number,
    port,
    route_capacity,
    seconds,
    text,
)
from .values import netuid as subnet

__all__ = ["KINDS", "Flag", "add_flags", "build_parser", "flags_of"]

KINDS = ("miner", "validator", "query", "client")

_EPILOG = (
    "Every flag can also be set in the environment (GANGLION_AXON_PORT for --axon.port) and in a "
    "YAML file that --config names (axon: {port: 8091}). A flag wins over the environment, the "
    "environment over the file. A switch is turned off again with --NAME=false."
)
_USAGE = {
    "miner": "%(prog)s --netuid N [flags]",
    "validator": "%(prog)s --netuid N [flags]",
    "client": "%(prog)s --netuid N [flags]",
    "query": "%(prog)s PROMPT (--netuid N | --peers HOTKEY@HOST:PORT,...) [flags]",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        name: Dotted, without dashes; also the key of a profile.
        group: The heading in `--help`.
        help: What it does, without the default.
        check: Text to value; None for a switch.
        default: The value when nobody gives one.
        metavar: What stands for the value in `--help`.
        required: Whether it must be given.
        refused: For a switch that can't be honoured: what to do instead.
        kinds: The programs that have it.
    """

    name: str
    group: str
    help: str
    check: Callable[[str], Any] | None = None
    default: Any = None
    metavar: str = ""
    required: bool = False
    refused: str = ""
    kinds: tuple[str, ...] = KINDS


_SERVER = ("miner", "validator")
_ASKER = ("validator", "query", "client")

_FLAGS: tuple[Flag, ...] = (
    Flag("prompt", "query", "the text to send", text, None, "PROMPT", required=True,
         kinds=("query",)),
    Flag("uids", "query", "peers to ask, with commas between; all that serve if not given",
         CommaList(at_least(0)), None, "UIDS", kinds=("query",)),
    Flag("peers", "query", "peers to ask without a network: HOTKEY@HOST:PORT with commas between, "
         "or a YAML file with a list of them", CommaList(text), None, "PEERS", kinds=("query",)),
    Flag("save", "query", "folder that gets a file for each reply with a receipt, which `ganglion "
         "receipt verify` checks", text, None, "DIR", kinds=("query",)),
    Flag("plot", "query", "draw the first byte and the chunks of each peer to a .png or .svg file",
         ending_in(".png", ".svg"), None, "FILE", kinds=("query",)),
    Flag("wide", "query", "show the longest gap between two chunks too", kinds=("query",)),
    Flag("config", "general", "YAML file with any of these settings", text, None, "FILE"),
    Flag("print_config", "general", "print every setting with its source, and exit"),
    Flag("strict", "general", "refuse what is not known; always so, accepted for old scripts"),
    Flag("no_prompt", "general", "never ask for a password on the terminal; fail instead"),
    Flag("mock", "general", "not available", refused="is not available: --subtensor.network local "
         "needs no chain and answers for real"),
    Flag("netuid", "general", "number of the subnet", subnet, None, "N", required=True),
    Flag("wallet.name", "wallet", "folder of the coldkey", text, "default", "NAME"),
    Flag("wallet.hotkey", "wallet", "name of the hotkey", text, "default", "NAME"),
    Flag("wallet.path", "wallet", "folder of all wallets", text, "~/.bittensor/wallets", "DIR"),
    Flag("subtensor.network", "network", "local, local:FILE or redis://HOST:PORT/DB", text,
         "local", "NETWORK"),
    Flag("subtensor.chain_endpoint", "network", "the network by its address; it is used instead "
         "of --subtensor.network", text, None, "URL"),
    Flag("subtensor.allow_private", "network", "publish, list and ask addresses that only some "
         "machines can reach, such as 10.0.0.5; local always does"),
    Flag("axon.port", "axon", "port to serve on; 0 takes a free one", port, 8091, "PORT",
         kinds=_SERVER),
    Flag("axon.ip", "axon", "address to serve on; 0.0.0.0 is all interfaces", ip_address,
         "0.0.0.0", "IP", kinds=_SERVER),  # noqa: S104 - the default that operators know
    Flag("axon.external_ip", "axon", "address that peers are told, where it is another one",
         ip_address, None, "IP", kinds=_SERVER),
    Flag("axon.external_port", "axon", "port that peers are told, where it is another one", port,
         None, "PORT", kinds=_SERVER),
    Flag("axon.max_workers", "axon", "requests that are answered at once", at_least(1), 10, "N",
         kinds=_SERVER),
    Flag("axon.workers", "axon", "processes that serve the port together, each with "
         "--axon.max_workers", at_least(1), 1, "N", kinds=("miner",)),
    Flag("axon.capacity", "axon", "requests of a route that are answered at once, with commas "
         "between; peers are told", CommaList(route_capacity), None, "ROUTE=N", kinds=("miner",)),
    Flag("axon.max_queue", "axon", "requests that may wait for a worker", at_least(0), 1024, "N",
         kinds=_SERVER),
    Flag("axon.max_body_bytes", "axon", "largest request body", at_least(1), 16 * 2**20, "BYTES",
         kinds=_SERVER),
    Flag("axon.grace_s", "axon", "how long running replies may take to end at a stop",
         seconds(zero=True), 10.0, "SECONDS", kinds=_SERVER),
    Flag("axon.protocols", "axon", "signing protocols to accept, with commas between, of btauth "
         "(SDK 11 and this), synapse (SDK 6-10), epistula, epistula1",
         CommaList(named("btauth", "synapse", "epistula", "epistula1")), ("btauth",), "NAMES",
         kinds=_SERVER),
    Flag("axon.max_age_s", "axon", "oldest signed request that is taken",
         seconds(), 10.0, "SECONDS", kinds=_SERVER),
    Flag("axon.synapse_max_age_s", "axon", "the same for SDK 6-10, whose own window is 4 s and the "
         "timeout", seconds(), 16.0, "SECONDS", kinds=_SERVER),
    Flag("axon.allow_unbound", "axon", "take requests that were signed for no receiver",
         kinds=_SERVER),
    Flag("axon.require_body_hash", "axon", "refuse requests of SDK 6-10 that sign nothing of "
         "their body", kinds=_SERVER),
    Flag("axon.refuse_uptime_nonces", "axon", "refuse SDK 6.0-7.1, whose nonces have no age",
         kinds=_SERVER),
    Flag("axon.heartbeat_s", "axon", "idle time after which a stream carries a heartbeat",
         seconds(), 10.0, "SECONDS", kinds=_SERVER),
    Flag("axon.stall_s", "axon", "time after which a reader that takes nothing is cut off",
         seconds(), 60.0, "SECONDS", kinds=_SERVER),
    Flag("axon.max_stale_s", "axon", "how long the last metagraph counts while the network can't "
         "be read; after that callers are refused", seconds(), 600.0, "SECONDS", kinds=_SERVER),
    Flag("axon.shared_memory", "axon", "Redis that all processes of this hotkey share, so that a "
         "request is taken once by all: redis://..., or auto for that of the network", text, None,
         "URL", kinds=("miner",)),
    Flag("axon.refuse_unshared", "axon", "refuse requests at once while the shared memory can't be "
         "reached, and not only after --axon.max_stale_s", kinds=("miner",)),
    Flag("dendrite.protocols", "query", "signing protocols to speak, the preferred one first",
         CommaList(named("btauth", "synapse", "epistula")), ("btauth",), "NAMES", kinds=_ASKER),
    Flag("logging.info", "logging", "log each request too"),
    Flag("logging.debug", "logging", "log what helps to find a fault"),
    Flag("logging.trace", "logging", "log everything"),
    Flag("logging.json", "logging", "log JSON lines instead of text"),
    Flag("logging.record_log", "logging", "write the log to a file too"),
    Flag("logging.logging_dir", "logging", "folder of such files", text, "~/.bittensor/miners",
         "DIR"),
    Flag("blacklist.force_validator_permit", "blacklist", "refuse callers without a validator "
         "permit", kinds=("miner",)),
    Flag("blacklist.allow_non_registered", "blacklist", "admit callers without a uid",
         kinds=("miner",)),
    Flag("blacklist.minimum_stake_requirement", "blacklist", "least stake of a caller",
         lambda value: number(value, low=0.0), 0.0, "TAO", kinds=("miner",)),
    Flag("neuron.name", "neuron", "name of this neuron in its log folder", text, "neuron", "NAME",
         kinds=_SERVER),
    Flag("neuron.epoch_length", "neuron", "blocks of 12 s between two looks at the metagraph",
         at_least(1), 100, "N", kinds=_SERVER),
    Flag("neuron.engine", "neuron", "what answers a prompt: echo streams it back",
         named("echo"), "echo", "NAME", kinds=_SERVER),
    Flag("neuron.token_delay", "neuron", "pause of the echo engine between two tokens",
         seconds(zero=True), 0.0, "SECONDS", kinds=("miner",)),
    Flag("neuron.flush_every", "neuron", "tokens to a chunk", at_least(1), 3, "N",
         kinds=("miner",)),
    Flag("neuron.sample_size", "neuron", "most peers that are asked at once", at_least(1), 50, "N",
         kinds=("validator", "query")),
    Flag("neuron.timeout", "neuron", "most time that a reply may take", seconds(), 10.0,
         "SECONDS", kinds=_ASKER),
    Flag("neuron.moving_average_alpha", "neuron", "weight of the newest score", fraction, 0.1,
         "SHARE", kinds=("validator",)),
    Flag("neuron.num_concurrent_forwards", "neuron", "steps that run at once", at_least(1), 1, "N",
         kinds=("validator",)),
    Flag("neuron.vpermit_tao_limit", "neuron", "peers with a validator permit and more stake than "
         "this are not asked", at_least(0), 4096, "TAO", kinds=("validator",)),
    Flag("neuron.axon_off", "neuron", "don't serve", kinds=("validator",)),
    Flag("neuron.axon_off", "neuron", "not available", kinds=("miner",), refused="is not "
         "available: a miner without its axon serves nobody"),
    Flag("neuron.disable_set_weights", "neuron", "don't set weights", kinds=("validator",)),
    Flag("neuron.step_interval", "neuron", "time from the begin of one step to that of the next",
         seconds(zero=True), 12.0, "SECONDS", kinds=("validator",)),
    Flag("neuron.steps", "neuron", "end after so many steps; 0 goes on for ever", at_least(0), 0,
         "N", kinds=("validator",)),
    Flag("neuron.step_timeout", "neuron", "most time that a step may take to ask and to judge",
         seconds(), 600.0, "SECONDS", kinds=("validator",)),
    Flag("neuron.latency_full", "neuron", "first byte up to which a reply gets full credit",
         seconds(zero=True), 0.5, "SECONDS", kinds=("validator",)),
    Flag("neuron.latency_zero", "neuron", "first byte from which it gets none",
         seconds(zero=True), 1.5, "SECONDS", kinds=("validator",)),
    Flag("neuron.allow_unsigned_replies", "neuron", "score replies without a receipt too, as of "
         "SDK 6-10", kinds=("validator",)),
    Flag("neuron.max_reply_bytes", "neuron", "longest reply that is read", at_least(1), 2**20,
         "BYTES", kinds=("validator",)),
    Flag("neuron.reward_timeout", "neuron", "most time that judging one reply may take",
         seconds(), 5.0, "SECONDS", kinds=("validator",)),
    Flag("neuron.state", "neuron", "file of scores and events; one for each subnet and hotkey "
         "under ~/.ganglion if not given", text, None, "FILE", kinds=("validator",)),
    Flag("neuron.keep_steps", "neuron", "steps whose events the state keeps", at_least(1), 10_000,
         "N", kinds=("validator",)),
)  # fmt: skip

_POSITIONAL = ("prompt",)


def flags_of(kind: str) -> tuple[Flag, ...]:
    """Returns the flags of one kind of program, with that kind's defaults.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no kind of program {kind!r}{nearest(kind, KINDS)}")
    return tuple(_of_kind(flag, kind) for flag in _FLAGS if kind in flag.kinds)


def _of_kind(flag: Flag, kind: str) -> Flag:
    if flag.name == "neuron.name":
        return replace(flag, default=kind)
    if flag.name == "netuid" and kind == "query":
        return replace(flag, required=False)
    return flag


def build_parser(kind: str, *, prog: str | None = None, description: str = "") -> Parser:
    """Returns a parser with every flag of a kind of program.

    More flags may be added to it; one that is added again replaces the first.

    Args:
        kind: One of `KINDS`.
        prog: The name in `--help` and in errors; that of the running script by default.
        description: The first lines of `--help`.

    Raises:
        ConfigError: There is no such kind.
    """
    flags = flags_of(kind)
    parser = Parser(prog=prog, usage=_USAGE[kind], description=description, epilog=_EPILOG)
    _add(parser, flags)
    return parser


def add_flags(parser: argparse.ArgumentParser, kind: str) -> None:
    """Adds the flags of a kind of program to any parser, except those that it has already.

    Raises:
        ConfigError: There is no such kind.
    """
    there = option_names(parser)
    _add(parser, [flag for flag in flags_of(kind) if f"--{flag.name}" not in there])


def _add(parser: argparse.ArgumentParser, flags: Sequence[Flag]) -> None:
    groups: dict[str, Any] = {}
    for flag in flags:
        if flag.group not in groups:
            groups[flag.group] = parser.add_argument_group(flag.group)
        _add_one(groups[flag.group], flag)


def _add_one(group: Any, flag: Flag) -> None:
    if flag.refused:
        group.add_argument(
            f"--{flag.name}", action=RefusedSwitch, reason=flag.refused, help=argparse.SUPPRESS
        )
    elif flag.check is None:
        group.add_argument(f"--{flag.name}", action="store_true", help=flag.help)
    elif flag.name in _POSITIONAL:
        group.add_argument(flag.name, type=flag.check, metavar=flag.metavar, help=flag.help)
    else:
        group.add_argument(
            f"--{flag.name}",
            type=flag.check,
            default=flag.default,
            metavar=flag.metavar,
            required=flag.required,
            help=flag.help + _default_note(flag),
        )


def _default_note(flag: Flag) -> str:
    if flag.required:
        return " (required)"
    if flag.default is None:
        return ""
    shown = ",".join(flag.default) if isinstance(flag.default, tuple) else flag.default
    return f" [{shown}]"
