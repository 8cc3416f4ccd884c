"""How much one caller may ask for: requests per second, and requests at once.

Only verified callers are counted, by public key, so nobody can use up another's share. What they
send per second is counted over all processes that share a memory; what runs at once, here.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from node.errors import RateLimited

from .sharing import Sharing

__all__ = ["Pace"]

_MAX_KEYS = 16_384


class Pace:
    """Per-caller limits; both are off by default.

    Args:
        per_second: Requests a second that one caller may send over time, or None. A caller may
            burst up to two seconds' worth.
        at_once: Requests of one caller that may be in the node at the same time, or None.
        sharing: Counts the requests of other processes too, or None.
        clock: Monotonic seconds; for tests.
    """

    def __init__(
        self,
        *,
        per_second: float | None = None,
        at_once: int | None = None,
        sharing: Sharing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = per_second
        self._burst = max(1.0, 2 * per_second) if per_second else 0.0
        self._at_once = at_once
        self._sharing = sharing
        self._clock = clock
        self._tokens: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._running: Counter[bytes] = Counter()

    def admit(self, public_key: bytes) -> AbstractContextManager[None]:
        """Count one request for as long as the `with` block of what is returned runs.

        Raises:
            RateLimited: The caller is over a limit; `retry_after` says when to come back.
        """
        if self._rate:
            self._take_token(public_key, self._rate)
        if self._at_once and self._running[public_key] >= self._at_once:
            raise RateLimited(
                f"This caller already has {self._at_once} requests running here.", retry_after=1.0
            )
        return _Admitted(self._running, public_key) if self._at_once else _UNCOUNTED

    @property
    def is_shared(self) -> bool:
        """Whether the requests of other processes count too."""
        return bool(self._rate) and self._sharing is not None and self._sharing.is_shared

    async def check_shared(self, public_key: bytes) -> None:
        """Count the request, which `admit` has let in, at all processes together.

        Raises:
            RateLimited: The caller is over its rate there.
        """
        if self._rate and self._sharing is not None:
            await self._sharing.take_token(public_key, per_second=self._rate, burst=self._burst)

    def _take_token(self, public_key: bytes, rate: float) -> None:
        now = self._clock()
        tokens, since = self._tokens.pop(public_key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * rate)
        if tokens < 1:
            self._tokens[public_key] = (tokens, now)
            raise RateLimited(
                f"This caller may send {rate:g} requests a second.",
                retry_after=(1 - tokens) / rate,
            )
        self._tokens[public_key] = (tokens - 1, now)
        if len(self._tokens) > _MAX_KEYS:
            # Least recently seen first: its bucket has had the most time to fill again.
            self._tokens.popitem(last=False)


_UNCOUNTED: AbstractContextManager[None] = nullcontext()


class _Admitted:
    """One request among those that run, from the begin of its block to the end."""

    __slots__ = ("_public_key", "_running")

    def __init__(self, running: Counter[bytes], public_key: bytes) -> None:
        self._running = running
        self._public_key = public_key

    def __enter__(self) -> None:
        self._running[self._public_key] += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running[self._public_key] -= 1
        if not self._running[self._public_key]:
            del self._running[self._public_key]
