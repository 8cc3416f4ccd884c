"""What the network says: is it there, does it know the hotkey, what has the hotkey published."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from node.network import Metagraph, Network, Peer
from node.network.record import Record
from node.network.redis_address import SCHEMES as REDIS_SCHEMES
from node.network.redis_address import without_password
from node.network.routability import why_unroutable
from node.neuron.chosen_network import allows_private, network_name
from node.neuron.config import Config

from .finding import Finding
from .key_check import Key

__all__ = [
    "Registry",
    "check_address",
    "check_record",
    "check_registration",
    "planned_endpoint",
    "read_registry",
    "serves",
]

_ANY_INTERFACE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  names, not a bind


@runtime_checkable
class _KeepsRecords(Protocol):
    """A network that shows the record itself, and so when it expires."""

    def record(self, netuid: int, hotkey: str, kind: str) -> Any:
        """The newest record of one kind that holds, or None."""


class Registry:
    """What was read of the network.

    Args:
        metagraph: With every address as it was published, private ones too.
        record: The hotkey's own `serve` record, where the network shows it.
        hotkey: The hotkey's address, or "".
    """

    def __init__(self, metagraph: Metagraph, record: Record | None, hotkey: str) -> None:
        self.metagraph = metagraph
        self.record = record
        self.uid = metagraph.uid_of(hotkey) if hotkey else None

    @property
    def own(self) -> Peer | None:
        """Where the hotkey says that it answers; None where it says nothing."""
        if self.uid is None:
            return None
        peer = self.metagraph.axons[self.uid]
        return peer if peer.is_serving else None


async def read_registry(config: Config, network: Network, key: Key) -> tuple[Registry, Finding]:
    """Read the metagraph and, where there is one, the hotkey's record.

    Raises:
        NodeError: The network can't be read.
    """
    netuid = config["netuid"]
    began = time.perf_counter()
    metagraph: Metagraph = await network.metagraph(netuid)
    took_ms = (time.perf_counter() - began) * 1000
    record = None
    if isinstance(network, _KeepsRecords) and key.address:
        record = await network.record(netuid, key.address, "serve")
    registry = Registry(metagraph, record, key.address)
    where = f"netuid {netuid} of {metagraph.network}"
    found = f"{where}: {metagraph.n} uids at block {metagraph.block}, read in {took_ms:.0f} ms"
    if metagraph.n == 0:
        return registry, Finding.warn("network", found, "see that --netuid is the one you mean")
    return registry, Finding.ok("network", found)


def check_registration(config: Config, registry: Registry, key: Key) -> Finding:
    """Does the network know the hotkey."""
    name = "registration"
    if not key.address:
        return Finding.skip(name, "the hotkey could not be read")
    metagraph, uid = registry.metagraph, registry.uid
    where = f"netuid {config['netuid']} of {metagraph.network}"
    if uid is not None:
        permit = "a" if metagraph.validator_permit[uid] else "no"
        return Finding.ok(
            name, f"uid {uid}, stake {metagraph.stake[uid]:g}, {permit} validator permit"
        )
    found = f"{key.address} has no uid on {where}"
    kind = network_name(config).partition(":")[0]
    if kind == "local":
        return Finding.warn(
            name, found, f"a miner takes one when it starts, or run: {_register_command(config)}"
        )
    if kind in REDIS_SCHEMES:
        return Finding.fail(name, found, f"run: {_register_command(config)}")
    return Finding.fail(
        name,
        found,
        f"registering costs TAO; run: btcli subnets register --netuid {config['netuid']} "
        f"--network {shlex.quote(metagraph.network)}",
    )


def _register_command(config: Config) -> str:
    words = ["ganglion", "network", "register", "--netuid", str(config["netuid"])]
    for setting in ("wallet.name", "wallet.hotkey", "wallet.path"):
        if config.source(setting) != "default":
            words += [f"--{setting}", str(config[setting])]
    # An address may hold a password, which no output repeats.
    words += ["--subtensor.network", without_password(network_name(config))]
    return shlex.join(words)


def serves(config: Config) -> bool:
    """Whether the settings are of a neuron that is to be called."""
    return not config.get("neuron.axon_off", False)


def planned_endpoint(config: Config, hotkey: str) -> Peer:
    """Where an axon with these settings says that it answers; port 0 if that is known at its start.

    Raises:
        ConfigError: The address is none.
    """
    own_ip = "127.0.0.1" if config["axon.ip"] in _ANY_INTERFACE else config["axon.ip"]
    return Peer(
        hotkey,
        config["axon.external_ip"] or own_ip,
        config["axon.external_port"] or config["axon.port"],
    )


def check_address(config: Config, planned: Peer) -> Finding:
    """Can others reach the address that the settings would publish."""
    name = "address"
    if not serves(config):
        return Finding.skip(name, "--neuron.axon_off: nothing is served")
    reason = why_unroutable(planned.ip)
    where = planned.endpoint if planned.port else f"{planned.ip}, on a port taken at its start"
    if reason is None:
        return Finding.ok(name, f"others are told {where}")
    if allows_private(config):
        return Finding.ok(name, f"others are told {where}, {reason}, which is allowed here")
    return Finding.fail(
        name,
        f"others would be told {where}, {reason}",
        "set --axon.external_ip to the address that they reach, or --subtensor.allow_private on a "
        "network of your own",
    )


def check_record(
    config: Config, registry: Registry, planned: Peer, clock_ns: Callable[[], int]
) -> Finding:
    """Is what the network lists for the hotkey what the settings say, and does it last."""
    name, own = "record", registry.own
    if registry.uid is None:
        return Finding.skip(name, "a hotkey without a uid has none")
    expires_s = _expires_in_s(registry.record, clock_ns)
    if own is None:
        return _no_record(config, expires_s)
    shown = f"uid {registry.uid} is listed at {own.endpoint}, {_speaks(own)}"
    if expires_s is not None:
        shown += f", for another {_span(expires_s)}"
    reason = why_unroutable(own.ip)
    if reason is not None and not allows_private(config):
        return Finding.fail(
            name,
            f"{shown}: {reason}, which validators pass over",
            "set --axon.external_ip and start the neuron again",
        )
    if not serves(config):
        return Finding.warn(
            name,
            f"{shown}, but --neuron.axon_off is set",
            "publish that nothing answers: ganglion network serve --axon.port 0",
        )
    if own.ip != planned.ip or (planned.port and own.port != planned.port):
        return Finding.warn(
            name,
            f"{shown}, but the settings say {planned.endpoint}",
            "start the neuron again with these settings, or give the settings that it runs with",
        )
    return Finding.ok(name, shown)


def _no_record(config: Config, expires_s: float | None) -> Finding:
    if not serves(config):
        return Finding.ok("record", "nothing is published, as --neuron.axon_off has it")
    if expires_s is not None and expires_s <= 0:
        return Finding.warn(
            "record",
            f"the record expired {_span(-expires_s)} ago, so nobody is told where to call",
            "start the neuron: it publishes itself, and renews its record",
        )
    return Finding.warn(
        "record",
        "nothing is published, so nobody is told where to call",
        "start the neuron: it publishes itself",
    )


def _expires_in_s(record: Record | None, clock_ns: Callable[[], int]) -> float | None:
    if record is None or record.expires_ns == 0:
        return None
    return (record.expires_ns - clock_ns()) / 1e9


def _speaks(peer: Peer) -> str:
    protocols = f"speaks {', '.join(peer.protocols)}" if peer.protocols else "names no protocol"
    if not peer.capacity:
        return protocols
    routes = ", ".join(f"{route} {count}" for route, count in dict(peer.capacity).items())
    return f"{protocols}, takes at once: {routes}"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
