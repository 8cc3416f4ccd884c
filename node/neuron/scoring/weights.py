"""Scores made into weights that a network takes: scaled, capped, padded, and as whole numbers.

`capped` and `quantise` give what the chain's SDK 11 gives, and SDK 10 but for its 32-bit floats;
tests compare them. The chain refuses a whole setting of weights
for one rule that it breaks, so `prepare_weights` also looks at the whole numbers that will be sent.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate

from node import errors
from node.network import Hyperparameters

from .measured import finite

__all__ = ["MAX_UID", "U16_MAX", "capped", "is_within", "prepare_weights", "quantise"]

U16_MAX = 65535
MAX_UID = 65535
# What a uid without a score gets where too few have one: SDK 10's number. Beside shares that sum
# to 1 it is never so small that it is rounded to nothing.
_PADDING = 1e-5
_EPSILON = 1e-7  # the SDK's own, which keeps a capped share just below the limit
# Rounding changes the sum by at most half a unit for each weight, and mostly by far less. So the
# limit is lowered by these many units for each, one after another, until it is kept.
_SLACKS = (0.05, 0.5, 2.0)


def prepare_weights(
    scores: Sequence[float], hyper: Hyperparameters, *, never: Collection[int] = ()
) -> tuple[list[int], list[float]]:
    """Weights for a setting that the network takes.

    A score counts where it is a finite number above 0. Scores are scaled to sum to 1 and capped at
    `max_weight_limit`. Where fewer uids have one than `min_allowed_weights` or the limit need, each
    uid that may have weight gets 0.00001 more, as SDK 10 does it. A limit that no weights can keep,
    for want of uids, gives all the same weight.

    Args:
        scores: By uid, from 0.
        hyper: The subnet's rules.
        never: Uids that get nothing whatever they scored, and are not padded: those that are
            vacant, say, or one's own.

    Returns:
        Uids in rising order, and the weight of each, above 0; they sum to 1. Two empty lists where
        nobody has a score: then there is nothing to say, and the last weights stay.

    Raises:
        errors.ConfigError: The subnet has more uids than the chain can number, or the limit is not
            above 0 and up to 1.
    """
    limit = hyper.max_weight_limit
    if not 0.0 < limit <= 1.0:
        raise errors.ConfigError(f"max_weight_limit is above 0 and up to 1, not {limit!r}")
    if len(scores) > MAX_UID + 1:
        raise errors.ConfigError(f"there are {len(scores)} scores, and uids end at {MAX_UID}")
    barred = frozenset(never)
    shares = _shares(0.0 if uid in barred else score for uid, score in enumerate(scores))
    if not any(shares):
        return [], []
    allowed = [uid for uid in range(len(shares)) if uid not in barred]
    uids = [uid for uid in allowed if shares[uid] > 0.0]
    weights = _fitted([shares[uid] for uid in uids], limit)
    needed = max(hyper.min_allowed_weights, math.ceil(1.0 / limit))
    if len(quantise(uids, weights)[0]) < min(needed, len(allowed)):
        uids = allowed
        weights = _fitted([shares[uid] + _PADDING for uid in uids], limit)
    return uids, weights


def quantise(uids: Iterable[int], weights: Iterable[float]) -> tuple[list[int], list[int]]:
    """Weights as the chain's whole numbers: the largest is 65535, and what rounds to 0 is left out.

    Halves are rounded to the even number, as Python does it.

    Args:
        uids: From 0 to 65535, none twice.
        weights: One for each, finite and from 0.

    Returns:
        Uids and numbers from 1 to 65535; two empty lists where all weights are 0.

    Raises:
        errors.ConfigError: The lists don't fit each other, or a uid or weight is out of range.
    """
    targets, values = _checked(uids, weights)
    most = max(values, default=0.0)
    if most == 0.0:
        return [], []
    pairs = [
        (uid, number)
        for uid, value in zip(targets, values, strict=True)
        if (number := round(value / most * U16_MAX)) > 0
    ]
    return [uid for uid, _ in pairs], [number for _, number in pairs]


def capped(weights: Sequence[float], limit: float) -> list[float]:
    """Weights scaled to sum to 1, the large ones cut so that none has more than the limit.

    Those that are cut become equal, and the rest keep their proportions: with k of n cut and the
    rest making up a share r, the cut c solves `c = limit * (r + k * c)`.

    Args:
        weights: Finite and from 0, with one above 0.
        limit: Largest share. Where no weights can keep it, `len(weights) * limit <= 1`, all get
            the same.

    Raises:
        errors.ConfigError: No weight is above 0, or their sum is not finite.
    """
    count = len(weights)
    total = float(sum(weights))
    if not 0.0 < total < math.inf:
        raise errors.ConfigError("weights to be capped need a finite sum above 0")
    if count * limit <= 1:
        return [1.0 / count] * count
    rising = sorted(weight / total for weight in weights)
    if rising[-1] <= limit:
        return [weight / total for weight in weights]
    sums = list(accumulate(rising))

    def share_if_all_above_were_cut(index: int) -> float:
        share = rising[index]
        return share / ((count - index - 1) * share + sums[index] + _EPSILON)

    # Rises with the index, so the first one that reaches the limit can be found by halving.
    kept = bisect_left(range(count), limit, key=share_if_all_above_were_cut)
    rest = limit * sums[kept - 1] - _EPSILON
    cut = rest / (1 - limit * (count - kept)) * total
    lower = [min(float(weight), cut) for weight in weights]
    lower_total = sum(lower)
    return [weight / lower_total for weight in lower]


def is_within(numbers: Sequence[int], limit: float) -> bool:
    """Whether the chain takes these whole numbers under this largest share."""
    return limit >= 1.0 or max(numbers) <= limit * sum(numbers)


def _fitted(weights: Sequence[float], limit: float) -> list[float]:
    """`capped`, a little tighter where rounding would lift the largest above the limit."""
    count = len(weights)
    shares = capped(weights, limit)
    _, numbers = quantise(range(count), shares)
    if is_within(numbers, limit):
        return shares
    for slack in _SLACKS:
        tighter = capped(weights, limit * (1.0 - slack * count / sum(numbers)))
        if is_within(quantise(range(count), tighter)[1], limit):
            return tighter
    return [1.0 / count] * count


def _shares(scores: Iterable[float]) -> list[float]:
    """The scores scaled to sum to 1, what is no score as 0; all 0 where there is none."""
    counted = [max(0.0, finite(score) or 0.0) for score in scores]
    if math.isinf(sum(counted)):
        most = max(counted)
        counted = [score / most for score in counted]
    total = sum(counted)
    return [score / total for score in counted] if total > 0.0 else counted


def _checked(uids: Iterable[int], weights: Iterable[float]) -> tuple[list[int], list[float]]:
    try:
        # index() takes what is whole, such as NumPy's integers, and no float.
        targets = [operator.index(uid) for uid in uids]
    except TypeError as error:
        raise errors.ConfigError("uids must be whole numbers") from error
    values = [finite(weight) for weight in weights]
    if len(targets) != len(values):
        raise errors.ConfigError(f"there are {len(targets)} uids and {len(values)} weights")
    if len(set(targets)) != len(targets):
        raise errors.ConfigError("a uid is in the list twice")
    good: list[float] = []
    for uid, value in zip(targets, values, strict=True):
        if not 0 <= uid <= MAX_UID:
            raise errors.ConfigError(f"uid {uid} is not 0 to {MAX_UID}")
        if value is None or value < 0:
            raise errors.ConfigError(f"the weight of uid {uid} is not a finite number from 0")
        good.append(value)
    return targets, good
