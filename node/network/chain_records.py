"""What the chain says of a subnet, made into ours. No I/O in here.

Whoever registers writes parts of these records, so nothing in them is taken for granted: a neuron
whose record can't be used is listed as vacant or as not serving, and the others are not harmed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from node import errors
from node.keys import normalise_address, ss58_decode

from .hyperparameters import Hyperparameters
from .metagraph import VACANT_KEY, Neuron, Snapshot
from .peer import Peer
from .record import Weights
from .routability import published

__all__ = ["Fault", "is_listed", "parse_hyperparameters", "parse_subnet"]

RAO = 10**9
U16_MAX = 65535
MAX_UIDS = 2**16

# The uid, and what is wrong with its record.
Fault = tuple[int, str]
_Row = Mapping[str, Any]


def parse_subnet(
    graph: Mapping[str, Any],
    votes: Mapping[int, Mapping[int, float]],
    *,
    allow_private: bool = False,
) -> tuple[Snapshot, list[Fault]]:
    """A subnet's lists, and what in them could not be used.

    Args:
        graph: The runtime's `Metagraph` record, decoded.
        votes: Weights by voter's uid and target's uid.
        allow_private: Whether addresses that not everybody can reach are listed.

    Raises:
        errors.NetworkError: It is not a metagraph.
    """
    hotkeys, block = graph.get("hotkeys"), graph.get("block")
    if not isinstance(hotkeys, list | tuple) or len(hotkeys) > MAX_UIDS or block is None:
        raise errors.NetworkError("the chain's record of the subnet is not a metagraph")
    rows = [_row(graph, uid) for uid in range(len(hotkeys))]
    faults: list[Fault] = []
    neurons = [_neuron(uid, row, allow_private, faults) for uid, row in enumerate(rows)]
    snapshot = replace(
        Snapshot.of(neurons, _count(block)),
        # The chain works these out itself.
        incentive=[min(_count(row.get("incentives")), U16_MAX) / U16_MAX for row in rows],
        votes=MappingProxyType(
            {uid: _vote(row) for uid, row in votes.items() if row and uid < len(rows)}
        ),
    )
    return snapshot, faults


def parse_hyperparameters(rules: Mapping[str, Any]) -> Hyperparameters:
    """The rules of a subnet; one that the chain does not name has its usual value."""
    usual = Hyperparameters()
    limit = _count(rules.get("max_weights_limit"), U16_MAX)
    return Hyperparameters(
        tempo=_count(rules.get("tempo"), usual.tempo),
        weights_rate_limit=_count(rules.get("weights_rate_limit")),
        min_allowed_weights=max(1, _count(rules.get("min_allowed_weights"))),
        max_weight_limit=max(1, min(limit, U16_MAX)) / U16_MAX,
        commit_reveal=rules.get("commit_reveal_weights_enabled") is True,
    )


def is_listed(axon: Mapping[str, Any] | None, peer: Peer, protocol: int) -> bool:
    """Whether the chain's axon record says already what a peer is about to publish."""
    held = axon or {}
    if not peer.is_serving:
        return not held.get("ip") or not held.get("port")
    address = ipaddress.ip_address(peer.ip)
    wanted = {
        "ip": int(address),
        "ip_type": address.version,
        "port": peer.port,
        "version": peer.version,
        "protocol": protocol,
    }
    return all(held.get(name) == value for name, value in wanted.items())


def _row(graph: Mapping[str, Any], uid: int) -> _Row:
    """One neuron's part of every column that is long enough."""
    columns = (
        "hotkeys", "coldkeys", "axons", "total_stake", "validator_permit", "incentives",
        "last_update",
    )  # fmt: skip
    found = {}
    for name in columns:
        column = graph.get(name)
        if isinstance(column, list | tuple) and uid < len(column):
            found[name] = column[uid]
    return found


def _neuron(uid: int, row: _Row, allow_private: bool, faults: list[Fault]) -> Neuron:
    try:
        public_key = ss58_decode(row["hotkeys"])
    except (errors.InvalidAddress, TypeError, AttributeError):
        faults.append((uid, "its hotkey is not an address"))
        return Neuron(uid, VACANT_KEY)
    coldkey = _coldkey(row.get("coldkeys"))
    peer = None
    try:
        peer = _peer(row["hotkeys"], coldkey, row.get("axons"))
    except (ValueError, TypeError, AttributeError, errors.ConfigError) as error:
        faults.append((uid, f"its axon can't be used: {error}"))
    return Neuron(
        uid=uid,
        public_key=public_key,
        peer=None if peer is None else published(peer, allow_private),
        coldkey=coldkey,
        stake=_count(row.get("total_stake")) / RAO,
        validator_permit=row.get("validator_permit") is True,
        last_update=_count(row.get("last_update")),
    )


def _coldkey(address: Any) -> str:
    try:
        return normalise_address(address)
    except (errors.InvalidAddress, TypeError, AttributeError):
        return ""


def _peer(hotkey: str, coldkey: str, axon: Any) -> Peer | None:
    """Where an axon record says that the neuron answers; None where it says that it does not.

    Raises:
        ValueError: The number is no address of its type.
        errors.ConfigError: A part is out of range.
    """
    if not isinstance(axon, Mapping) or not axon.get("ip") or not axon.get("port"):
        return None
    number, kind = axon["ip"], axon.get("ip_type")
    if not isinstance(number, int):
        raise ValueError(f"the address {number!r} is not a number")
    if kind == 4:
        ip = str(ipaddress.IPv4Address(number))
    elif kind == 6:
        ip = str(ipaddress.IPv6Address(number))
    else:
        raise ValueError(f"the address type {kind!r} is not 4 or 6")
    return Peer(hotkey, ip, axon["port"], coldkey=coldkey, version=axon.get("version", 0))


def _vote(row: Mapping[int, float]) -> Weights:
    return Weights(0, tuple(row), tuple(row.values()))


def _count(value: Any, otherwise: int = 0) -> int:
    """A number of at most 64 bits, or another where it is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64
    return int(value) if is_count else otherwise
