"""From the rows of a registry to neurons: whose records hold, and what they say.

A row is what a registry of ours stores, in SQLite or Redis. Whoever can write the registry may have
written it, so a row proves nothing; its records do, when they pass their checks. No I/O in here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from node import errors

from .arguments import MAX_STAKE
from .metagraph import Neuron
from .record import (
    Record,
    SealedRecord,
    open_record,
    parse_endpoint,
    parse_registration,
    parse_weights,
)
from .routability import published
from .verified import VerifiedRecords

__all__ = [
    "BLOCK_NS",
    "KEY_BYTES",
    "NeuronRow",
    "block_at",
    "clean_stake",
    "is_registered_with",
    "neurons_of",
    "trusted_record",
]

BLOCK_NS = 12 * 10**9
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class NeuronRow:
    """A neuron as stored: types and ranges are right, its records are not yet checked."""

    uid: int
    public_key: bytes
    stake: float
    validator_permit: bool
    records: Mapping[str, SealedRecord]


def block_at(now_ns: int, genesis_ns: int) -> int:
    """Return the block number: one every 12 s since the registry began."""
    return max(0, now_ns - genesis_ns) // BLOCK_NS


def clean_stake(value: object) -> float:
    """Return a stored stake, or 0.0 for what is none."""
    if not isinstance(value, int | float):
        return 0.0
    # Neither NaN nor infinity is in the range.
    return float(value) if 0 <= value <= MAX_STAKE else 0.0


def trusted_record(
    sealed: SealedRecord | None, *, kind: str, netuid: int, public_key: bytes, registry: int
) -> Record | None:
    """Return what a stored record says; None for no record, or a forged one, which binds nobody."""
    if sealed is None:
        return None
    try:
        return open_record(
            sealed, kind=kind, netuid=netuid, public_key=public_key, registry=registry
        )
    except errors.NetworkError:
        return None


def is_registered_with(record: Record | None, coldkey: str) -> bool:
    """Whether a registration holds, and says this coldkey or needs no other."""
    if record is None:
        return False
    try:
        return coldkey in {"", parse_registration(record)}
    except errors.NetworkError:
        return False


def neurons_of(
    rows: Iterable[NeuronRow],
    verified: VerifiedRecords,
    *,
    netuid: int,
    genesis_ns: int,
    now_ns: int,
    allow_private: bool = True,
) -> list[Neuron]:
    """Return the neurons of those rows whose hotkeys signed that they are registered.

    A record that does not pass its checks, or has expired, is left out: without its registration a
    neuron is, without its endpoint it does not serve.

    Args:
        rows: As stored.
        verified: Checks records, and remembers which ones held.
        netuid: The subnet.
        genesis_ns: When the registry began.
        now_ns: The reader's clock.
        allow_private: Whether a neuron at an address that others can't reach serves.
    """
    said = functools.partial(_said, verified, netuid, genesis_ns, now_ns)
    neurons = (
        _neuron(row, functools.partial(said, row), genesis_ns, allow_private) for row in rows
    )
    return [neuron for neuron in neurons if neuron is not None]


def _neuron(
    row: NeuronRow, said: Callable[..., Any], genesis_ns: int, allow_private: bool
) -> Neuron | None:
    registration = said("register", _registration)
    if registration is None:
        return None
    issued_ns, coldkey = registration
    peer = said("serve", parse_endpoint)
    if peer is not None:
        peer = published(replace(peer, coldkey=coldkey) if coldkey else peer, allow_private)
    weights = said("weights", parse_weights)
    return Neuron(
        uid=row.uid,
        public_key=row.public_key,
        peer=peer,
        coldkey=coldkey,
        stake=row.stake,
        validator_permit=row.validator_permit,
        weights=weights,
        last_update=block_at(weights.issued_ns if weights else issued_ns, genesis_ns),
    )


def _said(
    verified: VerifiedRecords,
    netuid: int,
    genesis_ns: int,
    now_ns: int,
    row: NeuronRow,
    kind: str,
    parse: Callable[[Record], Any],
) -> Any:
    sealed = row.records.get(kind)
    if sealed is None:
        return None
    known = verified.read(
        lambda record: (record, parse(record)),
        sealed,
        kind=kind,
        netuid=netuid,
        public_key=row.public_key,
        registry=genesis_ns,
    )
    # The clock is asked each time: what was read once may have expired since.
    return None if known is None or known[0].is_expired(now_ns) else known[1]


def _registration(record: Record) -> tuple[int, str]:
    return record.issued_ns, parse_registration(record)
