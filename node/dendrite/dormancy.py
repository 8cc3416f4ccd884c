"""Which peers are left alone for a while because they were not there, again and again.

Rule 1: pure state. No I/O and no asyncio; the clock and the randomness are given, so that a
simulation runs this very code on a clock of its own.
Rule 2: every operation takes the same time however many peers there are, and costs one look-up
for a peer that did not fail. Only peers that failed are remembered, and only so many of them.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable

from node.errors import ConfigError, PeerDormant
from node.network import Peer

__all__ = ["Dormancy"]

_AWAKE = float("-inf")


class Dormancy:
    """Counts failures in a row by public key, and lets a peer that is not there rest.

    After `after` failures in a row a peer is dormant: nothing is let out to it for `first_s`. Then
    one request is, the probe. If the probe succeeds the peer is awake and nothing is held against
    it; if it fails the peer rests twice as long as before, up to `longest_s`. A peer whose address
    or port changed is awake at once.

    Every request is announced with `begin` and, unless that raised, ended with exactly one of
    `succeeded`, `failed` and `abandoned`. A probe that is never ended is given up after
    `longest_s`. What counts as a failure is the caller's to say; a dendrite's rule is in
    `turn.py`.

    One object may serve several dendrites of one thread.

    Args:
        after: Failures in a row that make a peer dormant.
        first_s: Seconds of the first rest.
        longest_s: Seconds of the longest rest.
        jitter: The share, below 1, by which a rest may be shorter, at random, so that peers that
            failed together are not all probed together.
        most: Peers that are remembered; beyond it the one that failed longest ago is forgotten,
            which makes it awake.
        clock: Gives seconds that never go back.
        rng: Where the jitter comes from; a generator of its own by default.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        *,
        after: int = 3,
        first_s: float = 5.0,
        longest_s: float = 300.0,
        jitter: float = 0.2,
        most: int = 65_536,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        for name, count in (("after", after), ("most", most)):
            if count < 1:
                raise ConfigError(f"a dormancy's {name} must be 1 or more, not {count}")
        if not 0 < first_s <= longest_s < float("inf"):
            raise ConfigError(
                "a dormancy's first_s must be above 0 and at most its longest_s, "
                f"not {first_s} and {longest_s}"
            )
        if not 0 <= jitter < 1:
            raise ConfigError(f"a dormancy's jitter must be 0 or more and below 1, not {jitter}")
        self._after = after
        self._first_s = first_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._most = most
        self._clock = clock
        self._rng = rng if rng is not None else random.Random()  # noqa: S311  it hides nothing
        self._records: OrderedDict[bytes, _Record] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Dormancy after {self._after} failures, {len(self._records)} peers failing>"

    @property
    def failing(self) -> int:
        """How many peers have failed since they last succeeded, dormant or not."""
        return len(self._records)

    def is_awake(self, peer: Peer) -> bool:
        """Tell whether `begin` would let a request out to a peer now, as a probe or otherwise."""
        record = self._record_of(peer)
        return record is None or record.until == _AWAKE or self._clock() >= record.until

    def wait_s(self, peer: Peer) -> float:
        """Return the seconds until `is_awake` holds again, 0.0 if it does.

        While a probe is out nobody knows; then it is `first_s` at the most.
        """
        record = self._record_of(peer)
        if record is None or record.until == _AWAKE:
            return 0.0
        wait_s = max(0.0, record.until - self._clock())
        return min(wait_s, self._first_s) if record.probing else wait_s

    def failures(self, peer: Peer) -> int:
        """Return how often a peer failed in a row, as far as is remembered."""
        record = self._record_of(peer)
        return 0 if record is None else record.failures

    def check(self, peer: Peer) -> None:
        """Refuse a request that `begin` would refuse now, without announcing one.

        Raises:
            PeerDormant: The peer is dormant.
        """
        record = self._record_of(peer)
        if record is not None and record.until != _AWAKE and self._clock() < record.until:
            raise self._refusal(peer, record)

    def begin(self, peer: Peer) -> bool:
        """Announce a request to a peer.

        Returns:
            Whether it is a probe. `failed` and `abandoned` take this back.

        Raises:
            PeerDormant: The peer is dormant, or its probe is out.
        """
        record = self._records.get(peer.public_key)
        if record is None:
            return False
        if not record.is_about(peer):
            del self._records[peer.public_key]
            return False
        if record.until == _AWAKE:
            return False
        now = self._clock()
        if now < record.until:
            raise self._refusal(peer, record)
        record.probing = True
        record.until = now + self._longest_s
        return True

    def answered(self, peer: Peer) -> None:
        """Note that a probe got an answer that is not complete yet.

        The peer is awake, so that others need not wait for the end of a long stream; if that
        fails after all, the next failure lets it rest twice as long as before.
        """
        record = self._record_of(peer)
        if record is not None and record.probing:
            record.probing = False
            record.until = _AWAKE
            record.failures = self._after - 1

    def succeeded(self, peer: Peer) -> None:
        """Note that a request got its answer: the peer is awake."""
        if self._record_of(peer) is not None:
            del self._records[peer.public_key]

    def failed(self, peer: Peer, *, probe: bool = True) -> None:
        """Note that a peer was not there.

        A failure of a request that was let out before the peer became dormant is no news, and
        makes no rest longer.

        Args:
            peer: Whom the request went to.
            probe: What `begin` returned. It may be left out where requests to one peer don't
                overlap.
        """
        record = self._records.get(peer.public_key)
        if record is None:
            record = self._records[peer.public_key] = _Record(peer.ip, peer.port)
            if len(self._records) > self._most:
                self._records.popitem(last=False)
        elif not record.is_about(peer):
            return
        if record.until != _AWAKE and not (probe and record.probing):
            return
        record.failures += 1
        self._records.move_to_end(peer.public_key)
        if record.failures >= self._after:
            self._put_to_rest(record)

    def abandoned(self, peer: Peer, *, probe: bool = True) -> None:
        """Note that a request ended without saying anything of its peer, as one cancelled does.

        After a probe the next request is one.

        Args:
            peer: Whom the request went to.
            probe: As for `failed`.
        """
        record = self._record_of(peer)
        if record is not None and record.probing and probe:
            record.probing = False
            record.until = self._clock()

    def wake(self, peer: Peer) -> None:
        """Forget every failure of a peer, as when somebody knows that it is back."""
        self._records.pop(peer.public_key, None)

    def _record_of(self, peer: Peer) -> _Record | None:
        record = self._records.get(peer.public_key)
        return record if record is not None and record.is_about(peer) else None

    def _put_to_rest(self, record: _Record) -> None:
        record.rest_s = min(self._longest_s, 2 * record.rest_s or self._first_s)
        shorter = 1 - self._jitter * self._rng.random()
        record.until = self._clock() + record.rest_s * shorter
        record.probing = False

    def _refusal(self, peer: Peer, record: _Record) -> PeerDormant:
        wait_s = self.wait_s(peer)
        failures = f"it was not there {record.failures} times in a row"
        if record.probing:
            detail = f"{failures}; one request is finding out now whether it is back"
        else:
            detail = f"{failures}; it is asked again in {_spell(wait_s)}"
        return PeerDormant(detail, retry_after=wait_s, peer=str(peer))


class _Record:
    """A peer that failed.

    Attributes:
        ip: Where it was.
        port: Likewise.
        failures: In a row.
        rest_s: Its latest rest without the jitter, 0.0 before the first.
        until: When it may be asked, or when its probe is given up.
        probing: Whether a probe is out.
    """

    __slots__ = ("failures", "ip", "port", "probing", "rest_s", "until")

    def __init__(self, ip: str, port: int) -> None:
        self.ip = ip
        self.port = port
        self.failures = 0
        self.rest_s = 0.0
        self.until = _AWAKE
        self.probing = False

    def is_about(self, peer: Peer) -> bool:
        """Tell whether the peer is still where it failed."""
        return self.port == peer.port and self.ip == peer.ip


def _spell(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
