from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import errors
from node.neuron.scoring import LatencyCurve

from .hostile import NOT_FINITE

ANY_NUMBER = st.floats() | st.integers() | st.none()


@pytest.mark.parametrize(
    ("first_byte_s", "credit"),
    [(0, 1.0), (0.026, 1.0), (0.5, 1.0), (0.75, 0.75), (1.0, 0.5), (1.25, 0.25), (1.5, 0.0)],
)
def test_full_at_500_ms_none_at_1500_ms_a_line_between(first_byte_s: float, credit: float) -> None:
    assert LatencyCurve()(first_byte_s) == pytest.approx(credit, abs=1e-12)


@pytest.mark.parametrize("value", NOT_FINITE, ids=lambda value: type(value).__name__)
def test_what_is_no_measurement_gets_nothing(value: Any) -> None:
    assert LatencyCurve()(value) == 0.0


def test_a_time_before_the_request_gets_nothing() -> None:
    assert LatencyCurve()(-0.001) == 0.0


@given(first=ANY_NUMBER, second=ANY_NUMBER)
def test_credit_is_0_to_1_and_later_is_never_better(
    first: float | None, second: float | None
) -> None:
    curve = LatencyCurve()
    earned = [curve(first), curve(second)]
    assert all(0.0 <= credit <= 1.0 for credit in earned)
    if first is not None and second is not None and 0 <= first <= second:
        assert earned[0] >= earned[1]


def test_equal_limits_make_a_step() -> None:
    curve = LatencyCurve(full_s=1.0, zero_s=1.0)
    assert (curve(1.0), curve(math.nextafter(1.0, 2.0))) == (1.0, 0.0)


@pytest.mark.parametrize(
    "limits",
    [
        {"full_s": -0.1},
        {"full_s": 2.0, "zero_s": 1.0},
        {"full_s": math.nan},
        {"zero_s": math.inf},
        {"zero_s": "soon"},
        {"full_s": True},
    ],
)
def test_limits_that_make_no_curve_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError, match="latency curve"):
        LatencyCurve(**limits)
