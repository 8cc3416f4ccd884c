"""The memory that lets each signed request in once.

A verifier accepts a nonce only inside a window around its clock, so a nonce need be remembered
only until its window has passed. Nonces are kept in buckets of one second; a whole bucket is
dropped at once, which costs nothing per request.

What is forgotten is refused, never accepted again: a nonce older than the window, or one whose
bucket was already dropped (the clock stepped back), is stale. A full memory refuses new requests
until a bucket expires. So neither load nor a clock step opens a gap (WIRE.md §1.6, §2.10).
"""

from __future__ import annotations

import threading

from node.errors import ConfigError, Overloaded, ReplayedRequest, StaleRequest

__all__ = ["ReplayGuard"]

_SECOND_NS = 1_000_000_000


class ReplayGuard:
    """Remembers which (public key, nonce) pairs were accepted.

    Safe to call from several threads: an app that checks requests in threads may share it with an
    axon (`SharedNonceStore`). Nothing to close.

    Args:
        window_s: How far a nonce may lie from the clock on either side, in seconds. At least the
            verifier's `max_age_s` and `allowed_skew_s`.
        max_entries: How many pairs are held at the most, about 120 bytes each.

    Raises:
        ConfigError: A limit is not positive.
    """

    def __init__(self, *, window_s: float = 15.0, max_entries: int = 262_144) -> None:
        if not window_s > 0 or max_entries < 1:
            raise ConfigError("a ReplayGuard needs a positive window_s and max_entries")
        self.window_s = window_s
        self.max_entries = max_entries
        self._window_ns = int(window_s * _SECOND_NS)
        self._buckets: dict[int, set[bytes]] = {}
        self._count = 0
        self._dropped_below = 0  # buckets under this number held something and were dropped
        self._purged_at = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"ReplayGuard(entries={self._count}, max_entries={self.max_entries})"

    def check_and_store(
        self, public_key: bytes, nonce_ns: int, *, now_ns: int, tag: bytes = b""
    ) -> None:
        """Accept the pair once; with a tag, the three together.

        Call it last, when the signature has held: what is stored here was really sent by the
        owner of the key, so a stranger can't burn somebody's nonce or fill the memory.

        Args:
            public_key: 32 bytes; the address's spelling must not matter.
            nonce_ns: The signed nonce, Unix nanoseconds.
            now_ns: This node's clock, Unix nanoseconds.
            tag: What else tells honest requests of one sender apart, where the nonce is too
                coarse to do so; at most some 64 bytes. The signature must cover it, or
                changing it would be a way around this memory.

        Raises:
            ReplayedRequest: The pair was accepted before.
            StaleRequest: The nonce lies outside the window, or where memory was already dropped.
            Overloaded: The memory is full; `retry_after` says when a bucket expires.
        """
        age_ns = now_ns - nonce_ns
        if abs(age_ns) > self._window_ns:
            raise StaleRequest.by(age_ns, "the nonce lies outside the replay window")
        with self._lock:
            self._store(public_key, nonce_ns, now_ns, tag)

    def _store(self, public_key: bytes, nonce_ns: int, now_ns: int, tag: bytes) -> None:
        self._purge(now_ns)
        number = nonce_ns // _SECOND_NS
        if number < self._dropped_below:
            raise StaleRequest.by(
                now_ns - nonce_ns, "this node's clock stepped back over forgotten nonces"
            )
        bucket = self._buckets.get(number)
        entry = public_key + nonce_ns.to_bytes(8, "big", signed=True) + tag
        if bucket is not None and entry in bucket:
            raise ReplayedRequest("the sender already used this nonce")
        if self._count >= self.max_entries:
            raise Overloaded("the replay memory is full", retry_after=self._next_drop_s(now_ns))
        if bucket is None:
            bucket = self._buckets[number] = set()
        bucket.add(entry)
        self._count += 1

    def _purge(self, now_ns: int) -> None:
        """Drop the buckets in which every nonce is older than the window."""
        oldest = (now_ns - self._window_ns) // _SECOND_NS
        if oldest == self._purged_at:
            return
        self._purged_at = oldest
        for number in [number for number in self._buckets if number < oldest]:
            self._count -= len(self._buckets.pop(number))
            self._dropped_below = max(self._dropped_below, number + 1)

    def _next_drop_s(self, now_ns: int) -> float:
        expiry_ns = (min(self._buckets) + 1) * _SECOND_NS + self._window_ns
        return max(1.0, (expiry_ns - now_ns) / _SECOND_NS)
