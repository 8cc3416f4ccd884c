"""Who sent a request: from raw headers and body to a `Caller`, cheap checks before costly ones.

The order is the one of docs/protocol.md §5. The stages before the body is read look at headers
only and store nothing; the signature is checked once the body is there, since it covers the
body's digest, and the replay memory is written last.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.errors import ConfigError
from node.wire import Caller, ReplayGuard, btauth

__all__ = ["Admission", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """When a request is fresh, and whether it must name its receiver (WIRE.md §1.3).

    Attributes:
        max_age_s: Oldest request that is taken, in seconds.
        allowed_skew_s: How far ahead of this node a sender's clock may be, in seconds.
        require_receiver: Whether a request that names no receiver is refused.
    """

    max_age_s: float = btauth.MAX_AGE_S
    allowed_skew_s: float = btauth.ALLOWED_SKEW_S
    require_receiver: bool = True


class Admission:
    """Verifies requests for one receiving hotkey.

    Args:
        receiver: This node's address, prefix 42.
        window: When a request is fresh.
        guard: Replay memory; None makes one that fits the window.
        body_timeout_s: Seconds that may pass between `claim` and `prove`. The memory lasts that
            much longer, so that a body that is slow for honest reasons is still taken.
        clock_ns: Gives Unix nanoseconds; for tests.

    Raises:
        ConfigError: The guard remembers for less time than the window lasts.
    """

    def __init__(
        self,
        receiver: str,
        *,
        window: Window,
        guard: ReplayGuard | None = None,
        body_timeout_s: float = 0.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        needed_s = max(window.max_age_s, window.allowed_skew_s)
        # An empty guard is falsy, as any sized thing is.
        self._guard = (
            ReplayGuard(window_s=needed_s + body_timeout_s + 1) if guard is None else guard
        )
        if self._guard.window_s < needed_s:
            raise ConfigError(
                f"the replay guard remembers for {self._guard.window_s:g} s and the window is "
                f"{needed_s:g} s; give the guard a window_s at least that long"
            )
        self._receiver = receiver
        self._window = window
        self._clock_ns = clock_ns

    def claim(self, headers: Mapping[str, str]) -> btauth.Claim:
        """Read who the headers say the sender is: shape, receiver, freshness.

        Raises:
            AuthError: As `btauth.parse_claim`, `check_receiver` and `check_fresh` do.
        """
        claim = btauth.parse_claim(headers)
        btauth.check_receiver(claim, self._receiver, require_receiver=self._window.require_receiver)
        btauth.check_fresh(
            claim,
            self._clock_ns(),
            max_age_s=self._window.max_age_s,
            allowed_skew_s=self._window.allowed_skew_s,
        )
        return claim

    def prove(self, claim: btauth.Claim, *, method: str, target: str, body: bytes) -> Caller:
        """Check the signature over the body that was read, then that the nonce is new.

        Raises:
            AuthError: As `btauth.check_fresh` and `btauth.prove` do.
            Overloaded: The replay memory is full.
        """
        now_ns = self._clock_ns()
        return btauth.prove(
            claim,
            method=method,
            target=target,
            digest=hashlib.sha256(body).digest(),
            now_ns=now_ns,
            guard=self._guard,
        )
