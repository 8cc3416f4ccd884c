"""How far this machine's clock is from that of its peers.

There is no time server in this: peers refuse by their own clocks, so theirs are what counts. A
request that is an hour old is refused by an axon of ours before anything else is looked at, and the
refusal tells the axon's clock to the millisecond. Any other HTTP server tells the second, in its
`Date` header. Peers may be wrong or lie, so several are asked, and the one in the middle counts.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from node.errors import PeerUnreachable
from node.keys import Keypair
from node.network import Peer
from node.wire import btauth

from .finding import Finding
from .probing import Answer, Prober

__all__ = ["Reading", "check_clock", "judge_clock"]

_CHECK = "clock"
_ASKED = 9
_MAX_ROUTES = 2
_HOUR_S = 3600
_WARN_S = 1.0
_FAR_S = 1e9
_MILLISECOND_S = 0.001
_HALF_SECOND_S = 0.5
_USUAL_ROUTES = ("StreamPrompting", "Prompting")
_ADVICE = "turn time synchronisation on (`timedatectl set-ntp true`, or chrony), then check again"


@dataclass(frozen=True, slots=True)
class Reading:
    """One peer's clock.

    Attributes:
        offset_s: That clock less this one; positive when this one is behind.
        error_s: By how much that may be wrong.
        exact: Whether it is from a refusal, and not from a `Date` header.
    """

    offset_s: float
    error_s: float
    exact: bool


async def check_clock(
    prober: Prober, peers: Sequence[Peer], *, serves: bool, is_local: bool, rng: random.Random
) -> Finding:
    """Ask some peers what time it is.

    Args:
        prober: Connects to peers; private addresses only where they are allowed.
        peers: Those that serve, without this neuron itself.
        serves: Whether this neuron has an axon, whose callers' clocks matter too.
        is_local: Whether the network is a file, so that peers are on this very machine.
        rng: Picks whom to ask.
    """
    chosen = rng.sample(list(peers), min(_ASKED, len(peers)))
    asked = await asyncio.gather(*(_read(prober, peer) for peer in chosen))
    readings = [reading for reading in asked if reading is not None]
    if readings:
        return judge_clock(readings, serves=serves)
    if is_local:
        return Finding.ok(_CHECK, "nobody else answers; on a local network all share one clock")
    found = f"none of {len(chosen)} peers answered" if chosen else "there is nobody to compare with"
    return Finding.warn(_CHECK, found, "see that `timedatectl` says: synchronized: yes")


def judge_clock(readings: Sequence[Reading], *, serves: bool) -> Finding:
    """Judge the reading in the middle; what its error could explain is not held against the clock.

    Args:
        readings: One or more.
        serves: As for `check_clock`.
    """
    offset_s, error_s = _middle(readings)
    least_s = max(0.0, abs(offset_s) - error_s)
    side = "behind" if offset_s > 0 else "ahead of"
    found = f"this clock is {abs(offset_s):.2f} s {side} {_sources(readings)}, ±{error_s:.2f} s"
    if least_s > btauth.MAX_AGE_S or (least_s > btauth.ALLOWED_SKEW_S and offset_s < 0):
        return Finding.fail(_CHECK, f"{found}; they refuse what it signs", _ADVICE)
    if least_s > btauth.ALLOWED_SKEW_S:
        if serves:
            return Finding.fail(_CHECK, f"{found}; its axon refuses what they sign", _ADVICE)
        return Finding.warn(_CHECK, found, _ADVICE)
    if least_s > _WARN_S:
        return Finding.warn(
            _CHECK, f"{found}; {btauth.ALLOWED_SKEW_S:g} s are the most that is taken", _ADVICE
        )
    return Finding.ok(_CHECK, found)


def _middle(readings: Sequence[Reading]) -> tuple[float, float]:
    ranked = sorted(readings, key=lambda reading: reading.offset_s)
    middle = ranked[(len(ranked) - 1) // 2 : len(ranked) // 2 + 1]
    return (
        sum(reading.offset_s for reading in middle) / len(middle),
        max(reading.error_s for reading in middle),
    )


def _sources(readings: Sequence[Reading]) -> str:
    exact = sum(reading.exact for reading in readings)
    ways = [
        words
        for count, words in (
            (exact, f"{exact} by a refusal of an old request"),
            (len(readings) - exact, f"{len(readings) - exact} by the Date header"),
        )
        if count
    ]
    who = "1 peer" if len(readings) == 1 else f"the middle of {len(readings)} peers"
    return f"{who} ({', '.join(ways)})"


async def _read(prober: Prober, peer: Peer) -> Reading | None:
    """One peer's clock, or None where it does not answer or tells no time."""
    routes = [*dict(peer.capacity)][:_MAX_ROUTES] or _USUAL_ROUTES
    reading = None
    for route in routes:
        nonce_ns = prober.clock_ns() - _HOUR_S * 10**9
        try:
            answer = await prober.post(
                f"{peer.url}/{route}", b"{}", _old_headers(peer, f"/{route}", nonce_ns)
            )
        except PeerUnreachable:
            return reading
        reading = _of_refusal(answer, nonce_ns) or _of_date(answer)
        if reading is not None and reading.exact:
            break
    return reading


def _old_headers(peer: Peer, target: str, nonce_ns: int) -> dict[str, str]:
    """Signing headers by a key that is nobody's: age is judged before it matters whose."""
    return btauth.sign(
        Keypair.generate("ed25519"),
        method="POST",
        target=target,
        body=b"{}",
        receiver=peer.hotkey,
        nonce_ns=nonce_ns,
    )


def _of_refusal(answer: Answer, nonce_ns: int) -> Reading | None:
    told = answer.document.get("clock_offset_s")
    if answer.status != 401 or answer.code != "stale_request":
        return None
    if not isinstance(told, int | float) or not abs(told) < _FAR_S:
        return None
    middle_ns = (answer.sent_ns + answer.received_ns) // 2
    offset_s = (nonce_ns - middle_ns) / 1e9 + told
    return Reading(offset_s, answer.round_trip_s / 2 + _MILLISECOND_S, exact=True)


def _of_date(answer: Answer) -> Reading | None:
    """The header tells whole seconds, so half of one is added, and may be wrong."""
    try:
        told_s = parsedate_to_datetime(answer.date).timestamp() + _HALF_SECOND_S
    except (ValueError, OverflowError, TypeError):
        return None
    offset_s = told_s - (answer.sent_ns + answer.received_ns) / 2e9
    if not math.isfinite(offset_s) or abs(offset_s) > _FAR_S:
        return None
    return Reading(offset_s, answer.round_trip_s / 2 + _HALF_SECOND_S, exact=False)
