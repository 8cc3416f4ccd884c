"""How a registry's values are written in Redis, and what is made of whatever is read there.

Nothing here raises for a value that is no good: somebody else may have written it. What has not the
right shape is left out; what has is still only a claim, until `VerifiedRecords` has checked it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .hyperparameters import Hyperparameters
from .neurons import KEY_BYTES, NeuronRow, clean_stake
from .record import MAX_RECORD_BYTES, MAX_UIDS, SealedRecord
from .redis_scripts import GIANT

__all__ = [
    "MAX_VALUE_BYTES",
    "Rows",
    "pack_hyperparameters",
    "pack_record",
    "parse_genesis",
    "parse_hyperparameters",
    "parse_rows",
    "parse_uid",
    "parse_uids",
    "unpack_record",
]

# A record, and its scheme and signature in hex before it.
MAX_VALUE_BYTES = MAX_RECORD_BYTES + 256
MAX_GENESIS_NS = 2**63 - 1
MAX_BLOCKS = 10**9

_KINDS = ("register", "serve", "weights")


@dataclass(frozen=True, slots=True)
class Rows:
    """What one reading of a subnet gave.

    Attributes:
        rows: By uid, each uid once.
        left_out: Hotkeys that claimed a uid of another, which the lower key keeps.
        giants: How many values were too long to be read.
    """

    rows: Sequence[NeuronRow]
    left_out: int
    giants: int


def pack_record(sealed: SealedRecord) -> bytes:
    """Return a record as it is stored: `SCHEME SIGNATURE`, a line feed, the signed bytes."""
    return f"{sealed.scheme} {sealed.signature.hex()}\n".encode() + sealed.message


def unpack_record(value: object) -> SealedRecord | None:
    """Return a stored record, unchecked; None for none. What is no record verifies as nobody's."""
    if not isinstance(value, bytes) or value == GIANT:
        return None
    head, _, message = value.partition(b"\n")
    scheme, _, signature = head[:256].decode("ascii", "replace").partition(" ")
    try:
        return SealedRecord(message, scheme, bytes.fromhex(signature))
    except ValueError:
        return SealedRecord(value, "", b"")


def parse_genesis(value: object) -> int | None:
    """Return when a registry began, Unix nanoseconds; None for what is no such number."""
    return _parse_whole(value, MAX_GENESIS_NS)


def parse_uid(value: object) -> int | None:
    """Return a stored uid, or None."""
    return _parse_whole(value, MAX_UIDS - 1)


def parse_uids(values: object) -> set[int]:
    """Return the uids of a list."""
    uids = map(parse_uid, values) if isinstance(values, list) else ()
    return {uid for uid in uids if uid is not None}


def parse_rows(values: object) -> Rows:
    """Return the neurons that a reading lists."""
    rows: dict[int, NeuronRow] = {}
    left_out = giants = 0
    # In order of the keys, so that two readers agree on who has a uid that two keys claim.
    for value in sorted(_items(values), key=lambda item: item[0]):
        giants += value.count(GIANT)
        row = _parse_row(value)
        if row is None or row.uid in rows:
            left_out += 1
        else:
            rows[row.uid] = row
    return Rows([rows[uid] for uid in sorted(rows)], left_out, giants)


def pack_hyperparameters(hyperparameters: Hyperparameters) -> str:
    """Return hyperparameters as they are stored."""
    return json.dumps(asdict(hyperparameters), sort_keys=True)


def parse_hyperparameters(value: object) -> Hyperparameters | None:
    """Return stored hyperparameters; None for what are none.

    A field that is not there has its default; one that is unknown is passed over.
    """
    try:
        fields = json.loads(value) if isinstance(value, bytes) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    known = asdict(Hyperparameters())
    given = {name: fields.get(name, default) for name, default in known.items()}
    return Hyperparameters(**given) if _are_in_range(given) else None


def _are_in_range(fields: Mapping[str, Any]) -> bool:
    counts = ("tempo", "weights_rate_limit", "min_allowed_weights")
    share = fields["max_weight_limit"]
    return (
        all(type(fields[name]) is int and 0 <= fields[name] <= MAX_BLOCKS for name in counts)
        and fields["tempo"] > 0
        and type(share) in (int, float)
        and 0 < share <= 1
        and type(fields["commit_reveal"]) is bool
    )


def _items(values: object) -> Iterator[list[Any]]:
    for value in values if isinstance(values, list) else ():
        if isinstance(value, list) and len(value) == 4 + len(_KINDS):
            yield value


def _parse_row(value: list[Any]) -> NeuronRow | None:
    key, uid, *stored, stake, permit = value
    number = parse_uid(uid)
    public_key = _parse_key(key)
    if number is None or public_key is None:
        return None
    sealed = ((kind, unpack_record(record)) for kind, record in zip(_KINDS, stored, strict=True))
    return NeuronRow(
        uid=number,
        public_key=public_key,
        stake=_parse_stake(stake),
        validator_permit=permit == b"1",
        records={kind: record for kind, record in sealed if record is not None},
    )


def _parse_key(value: object) -> bytes | None:
    try:
        key = bytes.fromhex(value.decode("ascii")) if isinstance(value, bytes) else b""
    except ValueError:
        return None
    # One spelling for one key: a key in capitals would be a second neuron.
    return key if len(key) == KEY_BYTES and key.hex().encode() == value else None


def _parse_stake(value: object) -> float:
    try:
        return clean_stake(float(value)) if isinstance(value, bytes) else 0.0
    except ValueError:
        return 0.0


def _parse_whole(value: object, most: int) -> int | None:
    if not isinstance(value, bytes) or not value.isdigit() or len(value) > len(str(most)):
        return None
    number = int(value)
    return number if number <= most and str(number).encode() == value else None
