"""What every verification of an axon needs, and picking the protocol that a request speaks.

The order of the checks is that of docs/protocol.md §5. The stages before the body is read look at
headers only and store nothing; the signature is checked once the body is there, since it covers
the body's digest, and the replay memory is written last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from node.errors import ConfigError, MissingSignature
from node.wire import ReplayGuard, btauth, synapse_headers

from .dialect import Dialect

__all__ = ["Admission", "OldPeers", "Rules", "Window"]


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


@dataclass(frozen=True, slots=True)
class OldPeers:
    """What SDK 6 to 10 need beside, and how far they are trusted (WIRE.md §2.4, §2.10).

    Attributes:
        max_age_s: Oldest request that is taken, in seconds; theirs allow 4 and the timeout. A
            short timeout makes it less, nothing makes it more.
        require_body_hash: Whether a request that hashes nothing of its body is refused.
        allow_uptime_nonces: Whether SDK 6.0 to 7.1 may call, whose nonces count the uptime of
            their host and so have no age.
    """

    max_age_s: float = synapse_headers.MAX_AGE_S
    require_body_hash: bool = False
    allow_uptime_nonces: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """What the protocols of one axon share; one replay memory above all.

    Attributes:
        receiver: This node's address, prefix 42.
        window: When a request is fresh.
        guard: The replay memory, the same for every protocol, so that a nonce that was used in
            one is used in all.
        clock_ns: Gives Unix nanoseconds.
        old: What goes for SDK 6 to 10.
    """

    receiver: str
    window: Window
    guard: ReplayGuard
    clock_ns: Callable[[], int]
    old: OldPeers

    @classmethod
    def of(
        cls,
        receiver: str,
        *,
        window: Window,
        guard: ReplayGuard | None = None,
        body_timeout_s: float = 0.0,
        clock_ns: Callable[[], int] = time.time_ns,
        old: OldPeers | None = None,
    ) -> Rules:
        """Return rules whose replay memory lasts long enough.

        Args:
            receiver: This node's address, prefix 42.
            window: When a request is fresh.
            guard: Replay memory; None makes one that fits.
            body_timeout_s: Seconds that may pass between the two halves of admission. The memory
                lasts that much longer, so that a body that is slow for honest reasons is taken.
            clock_ns: Gives Unix nanoseconds; for tests.
            old: What goes for SDK 6 to 10; None where they are not spoken to.

        Raises:
            ConfigError: The guard remembers for less time than the window lasts.
        """
        needed_s = max(window.max_age_s, window.allowed_skew_s, old.max_age_s if old else 0.0)
        if guard is None:
            guard = ReplayGuard(window_s=needed_s + body_timeout_s + 1)
        elif guard.window_s < needed_s:
            raise ConfigError(
                f"the replay guard remembers for {guard.window_s:g} s and the window is "
                f"{needed_s:g} s; give the guard a window_s at least that long"
            )
        return cls(receiver, window, guard, clock_ns, old or OldPeers())


class Admission:
    """Picks the dialect of a request among those that are switched on.

    Args:
        dialects: In order of preference.

    Attributes:
        changing: `Dialect.changing` of all of them.
    """

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self._dialects = tuple(dialects)
        self.changing = frozenset[str]().union(*(each.changing for each in self._dialects))

    def find(self, headers: Mapping[str, str]) -> Dialect | None:
        """Return the dialect that the headers' names show, or None."""
        for dialect in self._dialects:
            if dialect.speaks(headers):
                return dialect
        return None

    def pick(self, headers: Mapping[str, str]) -> Dialect:
        """As `find`.

        Raises:
            MissingSignature: The request speaks none that is on.
        """
        dialect = self.find(headers)
        if dialect is None:
            raise MissingSignature("the request speaks no protocol that is on")
        return dialect
