"""Weights beside the chain's SDK 11, whose own functions are run on the same numbers.

That SDK drops zeros, clips and quantises in `bittensor.intents.weights`, and refuses too few
weights, where SDK 10 and we name everybody (see `tests/interop/test_old_weights.py`).
"""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.network import Hyperparameters
from node.neuron.scoring import prepare_weights, quantise
from node.neuron.scoring.weights import U16_MAX, capped, is_within

WEIGHTS = st.lists(
    # Of the very smallest numbers a share of the sum is 0.
    st.floats(0, 1, allow_subnormal=False) | st.sampled_from([0.0, 0.5, 1.0, 1e-9, 1e-5]),
    min_size=1,
    max_size=60,
)
LIMITS = st.integers(1, U16_MAX).map(lambda raw: raw / U16_MAX)


def sdk() -> Any:
    """Return the SDK's module of weights."""
    return importlib.import_module("bittensor.intents.weights")


@given(weights=st.lists(st.floats(0, 1e300), max_size=60))
@example(weights=[65535.0, 0.5, 1.5, 2.5])
def test_quantising_is_the_same(weights: list[float]) -> None:
    uids = list(range(len(weights)))
    assert quantise(uids, weights) == sdk().normalize(uids, weights)


@given(weights=WEIGHTS, limit=LIMITS)
@example(weights=[1.0] * 10, limit=0.1)
@example(weights=[1.0, *[1e-9] * 20], limit=0.1)
def test_capping_is_the_same(weights: list[float], limit: float) -> None:
    if sum(weights) == 0:
        return
    assert capped(weights, limit) == pytest.approx(
        sdk().clip_to_max_weight(weights, limit), rel=1e-9, abs=1e-15
    )


@given(weights=WEIGHTS, limit=LIMITS)
def test_capping_and_quantising_is_the_same_to_the_last_unit(
    weights: list[float], limit: float
) -> None:
    if sum(weights) == 0:
        return
    uids = list(range(len(weights)))
    ours = quantise(uids, capped(weights, limit))
    assert ours == sdk().normalize(uids, sdk().clip_to_max_weight(weights, limit))


@given(weights=WEIGHTS, limit=LIMITS)
def test_where_the_chain_takes_what_the_sdk_makes_ours_is_the_same(
    weights: list[float], limit: float
) -> None:
    scores = {uid: weight for uid, weight in enumerate(weights) if weight > 0}
    if not scores:
        return
    theirs = list(scores.values())
    if limit < 1.0:
        theirs = sdk().clip_to_max_weight(theirs, limit)
    uids, numbers = sdk().normalize(list(scores), theirs)
    if is_within(numbers, limit):
        ours = quantise(*prepare_weights(weights, Hyperparameters(max_weight_limit=limit)))
        assert_within_one(ours, (uids, numbers))


def test_the_sdk_leaves_what_we_prepared_as_it_is() -> None:
    """Our chain backend hands prepared weights to the SDK, which conforms them once more."""
    rng = random.Random(5)
    for limit in (1.0, 0.5, 0.1, 0.02):
        hyper = Hyperparameters(min_allowed_weights=8, max_weight_limit=limit)
        scores = [rng.random() ** 8 for _ in range(256)]
        uids, weights = prepare_weights(scores, hyper)
        again = sdk().clip_to_max_weight(weights, limit) if limit < 1.0 else weights
        assert_within_one(sdk().normalize(uids, again), quantise(uids, weights))


def assert_within_one(
    ours: tuple[list[int], list[int]], theirs: tuple[list[int], list[int]]
) -> None:
    """Scaling to a sum of 1 first may move what lies on a half by one unit."""
    left, right = dict(zip(*ours, strict=True)), dict(zip(*theirs, strict=True))
    for uid in left.keys() | right.keys():
        assert abs(left.get(uid, 0) - right.get(uid, 0)) <= 1, uid
