"""A memory of records that were checked, so that reading a registry again costs little.

Checking a signature takes 30 to 60 microseconds, a look-up here about one. What is remembered is
keyed by everything that the check depends on, down to each signed byte, so an entry never goes
stale and one changed bit is a new check.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from node import errors
from node.keys import ss58_encode

from .record import MAX_UIDS, Record, SealedRecord, open_record

__all__ = ["VerifiedRecords"]

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

_Entry = tuple[SealedRecord, str, int, bytes, int]


class VerifiedRecords:
    """Reads records, checking each distinct one once. Safe to use from several threads.

    Args:
        max_entries: How many results are kept; the oldest go first. Three per neuron are in use.
    """

    def __init__(self, max_entries: int = 4 * MAX_UIDS) -> None:
        self._max_entries = max_entries
        self._results: dict[_Entry, Any] = {}
        self._lock = threading.Lock()

    def read(
        self,
        parse: Callable[[Record], Value],
        sealed: SealedRecord,
        *,
        kind: str,
        netuid: int,
        public_key: bytes,
        registry: int = 0,
    ) -> Value | None:
        """What a stored record says, or None for one that does not pass its checks.

        The first time that a bad record is met a warning names its hotkey and the reason.

        Args:
            parse: Reads the payload; always the same function for one kind.
            sealed: As stored.
            kind: As for `open_record`.
            netuid: As for `open_record`.
            public_key: As for `open_record`.
            registry: As for `open_record`.
        """
        entry = (sealed, kind, netuid, public_key, registry)
        with self._lock:
            if entry in self._results:
                known: Value | None = self._results[entry]
                return known
        value: Value | None
        try:
            value = parse(
                open_record(
                    sealed, kind=kind, netuid=netuid, public_key=public_key, registry=registry
                )
            )
        except errors.NetworkError as error:
            value = None
            logger.warning(
                "netuid %d: the %s record of %s is left out: %s",
                netuid,
                kind,
                ss58_encode(public_key),
                error,
            )
        self._remember(entry, value)
        return value

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        return f"<VerifiedRecords {len(self)} of {self._max_entries}>"

    def _remember(self, entry: _Entry, value: object) -> None:
        with self._lock:
            while len(self._results) >= self._max_entries:
                del self._results[next(iter(self._results))]
            self._results[entry] = value
