"""What one process remembers for several: entries that were taken, and buckets of tokens.

Rule: no I/O and no clock. `guard_wire` carries the questions and answers.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from enum import Enum

__all__ = ["OnceMemory", "Verdict"]


class Verdict(Enum):
    """What becomes of an entry."""

    TAKEN = "taken"
    KNOWN = "taken before"
    FULL = "not taken, because the memory is full"


class OnceMemory:
    """Entries that may be taken once, and buckets of tokens.

    An entry is forgotten when its time is over, whole seconds at a time, and never before: a full
    memory takes none. Nothing to close.

    Args:
        max_entries: How many are held at the most, about 200 bytes each.
        max_buckets: The same for buckets. The one that was asked for longest ago makes room; it
            has had the most time to fill again.
    """

    def __init__(self, *, max_entries: int = 1_048_576, max_buckets: int = 65_536) -> None:
        self._max_entries = max_entries
        self._max_buckets = max_buckets
        self._entries: set[bytes] = set()
        self._ending: defaultdict[int, list[bytes]] = defaultdict(list)
        self._purged_at = 0
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def accept(self, entry: bytes, *, keep_s: float, now_s: float) -> Verdict:
        """Take an entry, unless it was taken before.

        Args:
            entry: What must not be taken twice.
            keep_s: Seconds for which it is remembered at least.
            now_s: A clock that never goes back, in seconds.
        """
        self._purge(int(now_s))
        if entry in self._entries:
            return Verdict.KNOWN
        if len(self._entries) >= self._max_entries:
            return Verdict.FULL
        self._entries.add(entry)
        self._ending[int(now_s + keep_s)].append(entry)
        return Verdict.TAKEN

    def take_token(self, key: bytes, *, per_second: float, burst: float, now_s: float) -> float:
        """Take a token from a bucket; see `SharedMemory.take_token`.

        Returns:
            0.0 where one was taken, else the seconds until there is one.
        """
        tokens, since = self._buckets.pop(key, (burst, now_s))
        tokens = min(burst, tokens + (now_s - since) * per_second)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / per_second
        self._buckets[key] = (tokens if wait_s else tokens - 1, now_s)
        if len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)
        return wait_s

    def _purge(self, second: int) -> None:
        """Forget what ended in a second that is over."""
        if second == self._purged_at:
            return
        self._purged_at = second
        for ended in [end for end in self._ending if end < second]:
            self._entries.difference_update(self._ending.pop(ended))
