"""Signed records in the registry: the newest of each kind counts, and no older one replaces it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from node import errors
from node.keys import Keypair

from .neurons import trusted_record
from .record import Record, SealedRecord, open_record, seal_record
from .rows import read_genesis_ns, read_record, write_record

__all__ = ["newest_record", "publish", "store_record"]


def publish(
    connection: sqlite3.Connection,
    signer: Keypair,
    kind: str,
    netuid: int,
    payload: Mapping[str, Any],
    now_ns: int,
    expires_ns: int = 0,
) -> None:
    """Sign a record that is newer than the stored one, and store it.

    Args:
        connection: Inside a write transaction.
        signer: Whose record it is.
        kind: As for `Record`.
        netuid: As for `Record`.
        payload: As for `Record`.
        now_ns: The signer's clock.
        expires_ns: As for `Record`.

    Raises:
        errors.NetworkError: The record is too long.
        errors.WalletError: `signer` can't sign.
    """
    newest = newest_record(connection, netuid, signer.public_key, kind)
    # A clock that was set back must not keep a hotkey from its own record.
    issued_ns = max(now_ns, newest.issued_ns + 1 if newest else 0)
    sealed = seal_record(
        signer,
        kind=kind,
        netuid=netuid,
        issued_ns=issued_ns,
        payload=payload,
        registry=read_genesis_ns(connection),
        expires_ns=expires_ns,
    )
    store_record(connection, sealed, kind=kind, netuid=netuid, public_key=signer.public_key)


def store_record(
    connection: sqlite3.Connection,
    sealed: SealedRecord,
    *,
    kind: str,
    netuid: int,
    public_key: bytes,
) -> None:
    """Store a signed record unless it is not newer than the one that is there.

    Raises:
        errors.NetworkError: The record does not pass its checks, or is not newer.
    """
    registry = read_genesis_ns(connection)
    record = open_record(sealed, kind=kind, netuid=netuid, public_key=public_key, registry=registry)
    newest = newest_record(connection, netuid, public_key, kind)
    if newest is not None and record.issued_ns <= newest.issued_ns:
        raise errors.NetworkError(
            f"the {kind} record of {record.hotkey} is not newer than the one that is stored"
        )
    write_record(connection, netuid, public_key, kind, sealed)


def newest_record(
    connection: sqlite3.Connection, netuid: int, public_key: bytes, kind: str
) -> Record | None:
    """The stored record, or None where there is none, or a forged one, which binds nobody."""
    return trusted_record(
        read_record(connection, netuid, public_key, kind),
        kind=kind,
        netuid=netuid,
        public_key=public_key,
        registry=read_genesis_ns(connection),
    )
