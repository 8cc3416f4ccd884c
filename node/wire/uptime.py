"""Replay memory for nonces that count a peer's uptime, as SDK 6.0 to 7.1 send them (WIRE.md §2.4).

Such a nonce says nothing of when a request was signed, so its age can't be checked. What can be
is order, per session (public key, uuid): the sliding window of RFC 4303 §3.4.3. A nonce passes
if it is newer than all before it, or at most `window_s` older than the newest and not seen yet.
No clock is read, and requests may arrive in any order within the window.

Nothing is ever forgotten in a way that lets a request in twice. A session's newest nonce stays as
long as this process does; where memory runs short its window shrinks to nothing, and where there
is no room for another session, that session is refused.

What stays open, and why this is off unless asked for: a request that this process has not seen
can be delivered as long as no later one of its session has been. So what was captured
before a restart of this node can be replayed once after it (docs/decisions/0009).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from node.errors import ConfigError, Overloaded, ReplayedRequest, StaleRequest

__all__ = ["UPTIME_LIMIT_NS", "UptimeGuard"]

_SECOND_NS = 1_000_000_000
UPTIME_LIMIT_NS = 10 * 365 * 24 * 3600 * _SECOND_NS
"""Below this, ten years, a nonce is an uptime; as Unix time it would lie before 1980."""


@dataclass(slots=True)
class _Session:
    """The window of one session.

    Attributes:
        newest: The highest nonce so far.
        floor: Nonces at or below it are no longer in `seen`, so they are refused.
        seen: Every accepted nonce above the floor.
    """

    newest: int
    floor: int
    seen: set[int] = field(default_factory=set)


class UptimeGuard:
    """Remembers the uptime nonces that were accepted.

    Not safe to call from several threads; one event loop owns it. Nothing to close.

    Args:
        window_s: How much older than the newest of its session a nonce may be, in seconds.
        max_sessions: How many sessions are held, about 500 bytes each.
        max_sessions_per_key: How many of them one key may take up.
        max_entries: How many nonces inside windows are held, about 100 bytes each.

    Raises:
        ConfigError: A limit is not positive.
    """

    def __init__(
        self,
        *,
        window_s: float = 16.0,
        max_sessions: int = 16_384,
        max_sessions_per_key: int = 256,
        max_entries: int = 131_072,
    ) -> None:
        limits = (max_sessions, max_sessions_per_key, max_entries)
        if not 0 < window_s < float("inf") or min(limits) < 1:
            raise ConfigError("an UptimeGuard needs a positive window_s and positive limits")
        self.window_s = window_s
        self.max_sessions = max_sessions
        self.max_sessions_per_key = max_sessions_per_key
        self.max_entries = max_entries
        self._window_ns = int(window_s * _SECOND_NS)
        self._sessions: dict[tuple[bytes, str], _Session] = {}
        self._sessions_of: dict[bytes, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"UptimeGuard(sessions={len(self._sessions)}, entries={self._count})"

    def check_and_store(self, public_key: bytes, uuid: str, nonce_ns: int) -> None:
        """Accept the nonce once in its session. Call it last, when the signature has held.

        Args:
            public_key: 32 bytes.
            uuid: The session as signed; bounded by the caller.
            nonce_ns: The signed nonce, nanoseconds of the peer's uptime.

        Raises:
            ReplayedRequest: The nonce was accepted before.
            StaleRequest: It is older than the session's window.
            Overloaded: There is no room for another session, of this key or of any.
        """
        if not 0 <= nonce_ns < UPTIME_LIMIT_NS:
            raise StaleRequest("the nonce is not an uptime")
        session = self._sessions.get((public_key, uuid))
        if session is None:
            session = self._open(public_key, uuid, nonce_ns)
        if nonce_ns <= max(session.floor, session.newest - self._window_ns - 1):
            raise StaleRequest("the nonce is too far behind the newest of its session")
        if nonce_ns in session.seen:
            raise ReplayedRequest("the session already used this nonce")
        session.seen.add(nonce_ns)
        session.newest = max(session.newest, nonce_ns)
        self._count += 1
        # Once per window's length, so that what is swept was paid for by what was added.
        if session.newest - session.floor > 2 * self._window_ns:
            self._sweep(session, session.newest - self._window_ns - 1)
        if self._count > self.max_entries:
            for each in self._sessions.values():
                self._sweep(each, each.newest)

    def _open(self, public_key: bytes, uuid: str, nonce_ns: int) -> _Session:
        held = self._sessions_of.get(public_key, 0)
        if held >= self.max_sessions_per_key or len(self._sessions) >= self.max_sessions:
            raise Overloaded("there is no room for another session of uptime nonces")
        session = _Session(newest=nonce_ns, floor=nonce_ns - self._window_ns - 1)
        self._sessions[public_key, uuid] = session
        self._sessions_of[public_key] = held + 1
        return session

    def _sweep(self, session: _Session, floor: int) -> None:
        """Forget the nonces at or below `floor`, and refuse them from now on."""
        kept = {nonce for nonce in session.seen if nonce > floor}
        self._count -= len(session.seen) - len(kept)
        session.seen = kept
        session.floor = floor
