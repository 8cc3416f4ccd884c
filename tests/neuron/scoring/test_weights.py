from __future__ import annotations

import math
import random
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import errors
from node.network import Hyperparameters
from node.neuron.scoring import prepare_weights, quantise
from node.neuron.scoring.weights import U16_MAX, capped, is_within

from .hostile import NOT_FINITE

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=80)
LIMITS = st.integers(1, U16_MAX).map(lambda raw: raw / U16_MAX)


def chain_takes(numbers: list[int], hyper: Hyperparameters, size: int) -> bool:
    """The chain's two rules for a setting of weights, on the whole numbers that it is sent."""
    share = max(numbers) / sum(numbers)
    return len(numbers) >= min(hyper.min_allowed_weights, size) and share <= hyper.max_weight_limit


class TestPrepare:
    def test_shares_of_the_sum(self) -> None:
        uids, weights = prepare_weights([0.2, 0.0, 0.6], Hyperparameters())
        assert uids == [0, 2]
        assert weights == pytest.approx([0.25, 0.75])

    def test_nobody_with_a_score_is_nothing_to_say(self) -> None:
        assert prepare_weights([0.0, 0.0], Hyperparameters(min_allowed_weights=2)) == ([], [])
        assert prepare_weights([], Hyperparameters()) == ([], [])

    def test_a_score_over_the_limit_is_cut_to_it(self) -> None:
        scores = [0.9, *[0.1] * 9]
        uids, weights = prepare_weights(scores, Hyperparameters(max_weight_limit=0.2))
        assert uids == list(range(10))
        assert weights[0] == pytest.approx(0.2, abs=1e-6)
        assert weights[1:] == pytest.approx([0.8 / 9] * 9, abs=1e-6)

    def test_too_few_with_a_score_are_joined_by_all_the_others(self) -> None:
        hyper = Hyperparameters(min_allowed_weights=3)
        uids, weights = prepare_weights([0.5, 0.5, 0.0, 0.0, 0.0], hyper)
        assert uids == [0, 1, 2, 3, 4]
        assert weights[2:] == pytest.approx([1e-5] * 3, rel=1e-3)
        assert quantise(uids, weights) == ([0, 1, 2, 3, 4], [U16_MAX, U16_MAX, 1, 1, 1])

    def test_a_score_that_rounds_to_nothing_does_not_count_as_one(self) -> None:
        hyper = Hyperparameters(min_allowed_weights=2)
        uids, weights = prepare_weights([1.0, 1e-9], hyper)
        assert quantise(uids, weights) == ([0, 1], [U16_MAX, 1])

    def test_enough_with_a_score_are_left_alone(self) -> None:
        hyper = Hyperparameters(min_allowed_weights=2)
        assert prepare_weights([0.5, 0.5, 0.0], hyper)[0] == [0, 1]

    def test_a_subnet_smaller_than_the_least_count_names_everybody(self) -> None:
        hyper = Hyperparameters(min_allowed_weights=8)
        uids, weights = prepare_weights([0.7, 0.3, 0.0], hyper)
        assert uids == [0, 1, 2]
        assert weights[:2] == pytest.approx([0.7, 0.3], abs=1e-4)

    def test_a_limit_that_those_with_a_score_can_not_keep_is_kept_with_the_others(self) -> None:
        hyper = Hyperparameters(max_weight_limit=0.1)
        uids, weights = prepare_weights([0.5, 0.5, *[0.0] * 98], hyper)
        assert len(uids) == 100
        assert weights[:2] == pytest.approx([0.1, 0.1], abs=1e-4)
        assert chain_takes(quantise(uids, weights)[1], hyper, 100)

    def test_a_limit_that_nobody_can_keep_gives_all_the_same(self) -> None:
        hyper = Hyperparameters(max_weight_limit=0.1)
        assert prepare_weights([0.9, 0.1, 0.0], hyper) == ([0, 1, 2], [1 / 3] * 3)

    def test_rounding_does_not_lift_the_largest_over_the_limit(self) -> None:
        # Capped and rounded as the SDK does it, some of these are refused by the chain.
        rng = random.Random(1)
        hyper = Hyperparameters(max_weight_limit=6554 / U16_MAX)
        lifted = 0
        for _ in range(200):
            scores = [rng.random() ** 20 for _ in range(256)]
            plain = quantise(range(256), capped(scores, hyper.max_weight_limit))
            ours = quantise(*prepare_weights(scores, hyper))
            assert chain_takes(ours[1], hyper, 256)
            lifted += not is_within(plain[1], hyper.max_weight_limit)
            theirs = dict(zip(*plain, strict=True))
            # What it takes is little: the scores stay what they were.
            assert all(
                abs(number - theirs.get(uid, 0)) < 20 for uid, number in zip(*ours, strict=True)
            )
        assert lifted > 0

    def test_some_never_get_weight(self) -> None:
        hyper = Hyperparameters(min_allowed_weights=3)
        uids, _ = prepare_weights([0.5, 0.4, 0.0, 0.0], hyper, never=[0, 3])
        assert uids == [1, 2]
        assert prepare_weights([0.5, 0.0], hyper, never=[0]) == ([], [])

    @pytest.mark.parametrize("value", [*NOT_FINITE, -1.0], ids=lambda value: type(value).__name__)
    def test_what_is_no_score_counts_0(self, value: Any) -> None:
        assert prepare_weights([value, 0.5], Hyperparameters()) == ([1], [1.0])
        assert prepare_weights([value], Hyperparameters()) == ([], [])

    def test_scores_whose_sum_overflows(self) -> None:
        uids, weights = prepare_weights([1.5e308, 1.5e308, 1.0], Hyperparameters())
        assert uids == [0, 1, 2]
        assert weights == pytest.approx([0.5, 0.5, 0.0])

    @given(
        scores=st.lists(st.floats(allow_nan=True) | st.integers(), max_size=60),
        least=st.integers(0, 80),
        limit=LIMITS,
        never=st.sets(st.integers(0, 60), max_size=5),
    )
    def test_whatever_the_scores_the_chain_takes_what_it_could_take(
        self, scores: list[Any], least: int, limit: float, never: set[int]
    ) -> None:
        hyper = Hyperparameters(min_allowed_weights=least, max_weight_limit=limit)
        uids, weights = prepare_weights(scores, hyper, never=never)
        allowed = set(range(len(scores))) - never
        assert uids == sorted(uids)
        assert set(uids) <= allowed
        if not uids:
            return
        assert math.fsum(weights) == pytest.approx(1.0)
        assert min(weights) > 0
        numbers = quantise(uids, weights)[1]
        if len(allowed) * limit >= 1:
            assert chain_takes(numbers, hyper, len(allowed))

    @given(scores=SCORES, least=st.integers(0, 80), limit=LIMITS)
    def test_who_scored_more_never_gets_less(
        self, scores: list[float], least: int, limit: float
    ) -> None:
        hyper = Hyperparameters(min_allowed_weights=least, max_weight_limit=limit)
        row = dict(zip(*prepare_weights(scores, hyper), strict=True))
        by_score = sorted(range(len(scores)), key=lambda uid: scores[uid])
        weights = [row.get(uid, 0.0) for uid in by_score]
        assert all(low <= high * (1 + 1e-12) for low, high in pairwise(weights))

    def test_a_subnet_of_65536_takes_under_a_few_seconds(self) -> None:
        rng = random.Random(1)
        scores = [rng.random() for _ in range(65536)]
        began = time.perf_counter()
        uids, _ = prepare_weights(scores, Hyperparameters(max_weight_limit=0.001))
        assert len(uids) == 65536
        assert time.perf_counter() - began < 5.0

    @pytest.mark.parametrize("limit", [0.0, -0.1, 1.5, math.nan, math.inf])
    def test_a_limit_out_of_range_is_refused(self, limit: float) -> None:
        with pytest.raises(errors.ConfigError, match="max_weight_limit"):
            prepare_weights([1.0], Hyperparameters(max_weight_limit=limit))

    def test_more_uids_than_the_chain_can_number_are_refused(self) -> None:
        with pytest.raises(errors.ConfigError, match="65537 scores"):
            prepare_weights([1.0] * 65537, Hyperparameters())


class TestCapped:
    # Beside weights that are smaller than its epsilon the SDK's arithmetic may miss the limit.
    @given(weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=80), limit=LIMITS)
    def test_sums_to_1_under_the_limit(self, weights: list[float], limit: float) -> None:
        shares = capped(weights, limit)
        assert math.fsum(shares) == pytest.approx(1.0)
        assert max(shares) <= max(limit, 1 / len(weights)) * (1 + 1e-4)

    def test_those_that_are_not_cut_keep_their_proportions(self) -> None:
        shares = capped([100.0, 50.0, 2.0, 1.0, 1.0], 0.4)
        assert shares[:2] == pytest.approx([0.4, 0.4], abs=1e-6)
        assert shares[2:] == pytest.approx([0.1, 0.05, 0.05], abs=1e-6)

    @pytest.mark.parametrize("weights", [[], [0.0], [1e308, 1e308]])
    def test_a_sum_of_nothing_or_too_much_is_refused(self, weights: list[float]) -> None:
        with pytest.raises(errors.ConfigError, match="finite sum"):
            capped(weights, 0.5)


class TestQuantise:
    def test_the_largest_is_65535(self) -> None:
        assert quantise([3, 7], [0.1, 0.4]) == ([3, 7], [16384, 65535])

    def test_what_rounds_to_0_is_left_out(self) -> None:
        half = 0.5 / U16_MAX
        assert quantise([0, 1, 2], [1.0, half * 0.999, half * 1.001]) == ([0, 2], [65535, 1])

    def test_halves_go_to_the_even_number(self) -> None:
        numbers = quantise(range(4), [65535.0, 0.5, 1.5, 2.5])
        assert numbers == ([0, 2, 3], [65535, 2, 2])

    def test_nothing_is_nothing(self) -> None:
        assert quantise([], []) == quantise([1, 2], [0.0, 0]) == ([], [])

    def test_numbers_of_numpy_are_taken(self) -> None:
        uids, weights = np.array([1, 2]), np.array([0.5, 1.0], dtype=np.float32)
        assert quantise(uids, weights) == ([1, 2], [32768, 65535])

    def test_the_smallest_floats(self) -> None:
        assert quantise([0, 1], [5e-324, 0.0]) == ([0], [65535])

    @pytest.mark.parametrize(
        ("uids", "weights", "text"),
        [
            ([1], [], "1 uids and 0 weights"),
            ([1, 1], [1, 1], "twice"),
            ([1.0], [1.0], "whole numbers"),
            (["1"], [1.0], "whole numbers"),
            ([-1], [1.0], "not 0 to 65535"),
            ([65536], [1.0], "not 0 to 65535"),
            ([0], [-0.1], "weight of uid 0"),
            ([0], [math.nan], "weight of uid 0"),
            ([0], [math.inf], "weight of uid 0"),
            ([0], ["1"], "weight of uid 0"),
        ],
    )
    def test_lists_that_mean_nothing_are_refused(self, uids: Any, weights: Any, text: str) -> None:
        with pytest.raises(errors.ConfigError, match=text):
            quantise(uids, weights)
