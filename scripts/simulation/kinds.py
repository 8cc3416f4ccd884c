"""The kinds of peers that a simulated subnet has, and what each one does when it is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

__all__ = ["KINDS", "Answer", "Kind", "assign"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request.

    Attributes:
        first_byte_s: Seconds to the first byte; None when nothing came.
        total_s: Seconds to the end or to the failure.
        is_right: Whether the text was right.
        has_receipt: Whether the peer signed for it.
    """

    first_byte_s: float | None
    total_s: float
    is_right: bool = True
    has_receipt: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of peer.

    Attributes:
        name: What the tables call it.
        share: How much of the subnet is of this kind; the shares sum to 1.
        is_honest: Whether it should end up with weight.
        median_s: Median of the first byte, seconds; its logarithm is normal.
        sigma: Standard deviation of that logarithm. 0.4 puts the 95th percentile at 1.9 times
            the median.
        fails: Chance that nothing listens at its address when it is asked.
        wrong: Chance of a wrong answer.
        unsigned: Chance that the receipt is missing.
        behaves_until: For a sleeper: the score from which it stops to work; None for the rest.
    """

    name: str
    share: float
    is_honest: bool
    median_s: float
    sigma: float = 0.4
    fails: float = 0.01
    wrong: float = 0.0
    unsigned: float = 0.0
    behaves_until: float | None = None

    def answer(self, rng: Random, score: float, timeout_s: float) -> Answer:
        """Draw what one request comes to.

        Args:
            rng: The source of chance.
            score: The peer's present score, which a sleeper reads from the chain.
            timeout_s: Where the validator stops to wait.
        """
        if rng.random() < self.fails:
            return Answer(None, 0.05)
        if self.behaves_until is not None and score > self.behaves_until:
            return Answer(0.02, 0.03, is_right=False)
        first_s = rng.lognormvariate(math.log(self.median_s), self.sigma)
        if first_s > timeout_s:
            return Answer(None, timeout_s)
        return Answer(
            first_s,
            min(timeout_s, first_s + 128 / 185),  # 128 tokens at the rate of a consumer's GPU
            is_right=rng.random() >= self.wrong,
            has_receipt=rng.random() >= self.unsigned,
        )


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            # An honest first token is about 26 ms on the box plus the round trip (DEMAND.md).
            Kind("near", 0.30, True, 0.06),
            Kind("far", 0.25, True, 0.25),
            Kind("flaky", 0.10, True, 0.12, fails=0.15),
            Kind("slow", 0.10, False, 2.0),
            Kind("dead", 0.10, False, 0.1, fails=1.0),
            Kind("guesser", 0.07, False, 0.03, wrong=0.5),
            Kind("unsigned", 0.04, False, 0.05, unsigned=1.0),
            Kind("sleeper", 0.04, False, 0.05, behaves_until=0.5),
        )
    }
)
"""By name. `flaky` is honest and earns less, as it should."""


def assign(count: int, rng: Random) -> list[Kind]:
    """Give each of `count` peers a kind, by the shares, in random order."""
    kinds: list[Kind] = []
    for kind in KINDS.values():
        kinds += [kind] * round(kind.share * count)
    kinds = (kinds + [KINDS["near"]] * count)[:count]
    rng.shuffle(kinds)
    return kinds
