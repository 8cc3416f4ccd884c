"""A `ReplayGuard` in the shape that `bittensor.http_auth` of SDK 11 asks for.

An app that checks its requests with `http_auth.verify` and runs beside an axon of ours has two
replay memories, and a request that is sent to both is taken twice. With this adapter they have
one::

    guard = ReplayGuard(window_s=60)
    axon = Axon(wallet, guard=guard)
    store = SharedNonceStore(guard, now_ns=time.time_ns)
    http_auth.verify(headers, body, ..., nonce_store=store)
"""

from __future__ import annotations

from collections.abc import Callable

from node.errors import InvalidAddress, ReplayedRequest, StaleRequest
from node.keys.ss58 import ss58_decode

from .replay import ReplayGuard

__all__ = ["SharedNonceStore"]


class SharedNonceStore:
    """The `NonceStore` of SDK 11 over a replay memory of ours (WIRE.md §1.3 step 5).

    It remembers keys, not addresses, so a second spelling of an address is no second sender. Safe
    to call from several threads; FastAPI runs sync dependencies so. Nothing to close.

    Args:
        guard: The memory, which an axon may use too.
        now_ns: Gives Unix nanoseconds, by the clock that requests are checked with.

    Attributes:
        retention: Seconds that a nonce is remembered at least: the guard's `window_s`.
            `http_auth.verify` raises ValueError where that is less than its `max_age` and
            `allowed_skew` together.
    """

    def __init__(self, guard: ReplayGuard, *, now_ns: Callable[[], int]) -> None:
        self.retention = guard.window_s
        self._guard = guard
        self._now_ns = now_ns

    def __repr__(self) -> str:
        return f"SharedNonceStore({self._guard!r})"

    def check_and_store(self, hotkey_ss58: str, nonce_ns: int) -> bool:
        """Accept the pair once; call it when the signature has held, as `verify` does.

        Args:
            hotkey_ss58: The sender's address, of any prefix.
            nonce_ns: The signed nonce, Unix nanoseconds.

        Returns:
            True if it is new. False if it was accepted before, and where that can't be told: the
            nonce lies outside the guard's window, the clock stepped back over what was
            forgotten, or the address can't be read.

        Raises:
            Overloaded: The memory is full. It is no `AuthError` of the SDK: an app answers it with
                503 and `retry_after`, and one that does not know it answers 500.
        """
        try:
            public_key = ss58_decode(hotkey_ss58)
            self._guard.check_and_store(public_key, nonce_ns, now_ns=self._now_ns())
        except (ReplayedRequest, StaleRequest, InvalidAddress):
            return False
        return True
