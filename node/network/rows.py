"""The statements of the registry: each reads or writes rows inside a transaction of its caller.

What is read may have been written by anybody who can write the file. Types and ranges are checked
here; what a record says, and who signed it, is checked by `VerifiedRecords`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from node import errors

from .neurons import KEY_BYTES, NeuronRow, clean_stake
from .record import KINDS, MAX_UIDS, SealedRecord

__all__ = [
    "add_neuron",
    "find_uid",
    "read_genesis_ns",
    "read_neurons",
    "read_record",
    "read_uids",
    "write_record",
    "write_stake",
]


def read_genesis_ns(connection: sqlite3.Connection) -> int:
    """When the registry was made, Unix nanoseconds.

    Raises:
        sqlite3.DatabaseError: There is no such row.
    """
    row = connection.execute("SELECT genesis_ns FROM registry").fetchone()
    if row is None or not isinstance(row[0], int):
        raise sqlite3.DatabaseError("the registry's own row is missing")
    return row[0]


def find_uid(connection: sqlite3.Connection, netuid: int, public_key: bytes) -> int | None:
    """The uid of a key, or None."""
    row = connection.execute(
        "SELECT uid FROM neurons WHERE netuid = ? AND public_key = ?", (netuid, public_key)
    ).fetchone()
    return None if row is None else int(row[0])


def read_uids(connection: sqlite3.Connection, netuid: int) -> set[int]:
    """The uids that are taken."""
    rows = connection.execute("SELECT uid FROM neurons WHERE netuid = ?", (netuid,))
    return {uid for (uid,) in rows}


def add_neuron(
    connection: sqlite3.Connection, netuid: int, public_key: bytes, max_uids: int
) -> int:
    """Give a key the lowest free uid and return it.

    Raises:
        errors.NetworkError: All are taken.
    """
    taken = read_uids(connection, netuid)
    uid = next((uid for uid in range(max_uids) if uid not in taken), None)
    if uid is None:
        raise errors.NetworkError(
            f"netuid {netuid} is full: all its {max_uids} uids are taken; use another netuid"
        )
    connection.execute(
        "INSERT INTO neurons (netuid, uid, public_key) VALUES (?, ?, ?)", (netuid, uid, public_key)
    )
    return uid


def write_stake(
    connection: sqlite3.Connection,
    netuid: int,
    uid: int,
    stake: float | None,
    validator_permit: bool | None,
) -> None:
    """Set what is not None."""
    connection.execute(
        "UPDATE neurons SET stake = coalesce(?, stake),"
        " validator_permit = coalesce(?, validator_permit) WHERE netuid = ? AND uid = ?",
        (stake, validator_permit, netuid, uid),
    )


def read_record(
    connection: sqlite3.Connection, netuid: int, public_key: bytes, kind: str
) -> SealedRecord | None:
    """The stored record of one kind, unchecked, or None."""
    row = connection.execute(
        "SELECT message, scheme, signature FROM records"
        " WHERE netuid = ? AND public_key = ? AND kind = ?",
        (netuid, public_key, kind.encode()),
    ).fetchone()
    return None if row is None else _sealed(row)


def write_record(
    connection: sqlite3.Connection, netuid: int, public_key: bytes, kind: str, sealed: SealedRecord
) -> None:
    """Store a record in the place of the one before it, whatever that was."""
    connection.execute(
        "INSERT OR REPLACE INTO records (netuid, public_key, kind, message, scheme, signature)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            netuid,
            public_key,
            kind.encode(),
            sealed.message,
            sealed.scheme.encode(),
            sealed.signature,
        ),
    )


def read_neurons(connection: sqlite3.Connection, netuid: int) -> list[NeuronRow]:
    """Every neuron of a subnet with its records; rows that no writer of ours makes are left out."""
    records: dict[bytes, dict[str, SealedRecord]] = {}
    for public_key, kind, *rest in connection.execute(
        "SELECT public_key, kind, message, scheme, signature FROM records WHERE netuid = ?",
        (netuid,),
    ):
        name = _text(kind)
        sealed = _sealed(rest)
        if sealed is not None and name in KINDS and isinstance(public_key, bytes):
            records.setdefault(public_key, {})[name] = sealed
    rows = connection.execute(
        "SELECT uid, public_key, stake, validator_permit FROM neurons WHERE netuid = ?", (netuid,)
    )
    return list(_neuron_rows(rows, records))


def _neuron_rows(
    rows: Iterator[tuple[object, ...]], records: dict[bytes, dict[str, SealedRecord]]
) -> Iterator[NeuronRow]:
    for uid, public_key, stake, permit in rows:
        if not isinstance(uid, int) or not 0 <= uid < MAX_UIDS:
            continue
        if not isinstance(public_key, bytes) or len(public_key) != KEY_BYTES:
            continue
        yield NeuronRow(
            uid=uid,
            public_key=public_key,
            stake=clean_stake(stake),
            validator_permit=permit == 1,
            records=records.get(public_key, {}),
        )


def _sealed(row: tuple[object, ...] | list[object]) -> SealedRecord | None:
    message, scheme, signature = row
    name = _text(scheme)
    if name is None or not isinstance(message, bytes) or not isinstance(signature, bytes):
        return None
    return SealedRecord(message, name, signature)


def _text(value: object) -> str | None:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else None
