from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from node.neuron.scoring import Reason, checked_reward, finite

from .hostile import NOT_FINITE


@pytest.mark.parametrize("value", NOT_FINITE, ids=lambda value: type(value).__name__)
def test_what_is_no_finite_number_is_none_and_worth_nothing(value: Any) -> None:
    assert finite(value) is None
    assert checked_reward(value) == (0.0, Reason.NOT_FINITE)


@pytest.mark.parametrize("value", [0.5, Fraction(1, 2), np.float32(0.5), np.float64(0.5)])
def test_real_numbers_of_any_kind_are_floats(value: Any) -> None:
    found = finite(value)
    assert found == 0.5
    assert type(found) is float


def test_whole_numbers_are_floats_too() -> None:
    assert finite(3) == 3.0
    assert finite(np.int64(-3)) == -3.0


@pytest.mark.parametrize("value", [0, 0.0, 0.25, 1, np.float32(1.0)])
def test_a_reward_in_range_is_kept(value: Any) -> None:
    assert checked_reward(value) == (float(value), Reason.OK)


@pytest.mark.parametrize("value", [-1e-300, -1, 1.0000001, 2, 1e308])
def test_a_reward_out_of_range_is_worth_nothing(value: Any) -> None:
    assert checked_reward(value) == (0.0, Reason.OUT_OF_RANGE)


def test_the_range_may_be_larger() -> None:
    assert checked_reward(2, most=2.0) == (2.0, Reason.OK)
