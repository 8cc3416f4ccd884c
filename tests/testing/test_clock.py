"""The clock stands still, and moves forward only."""

from __future__ import annotations

import math

import pytest

from node.errors import ConfigError
from node.testing import Clock


def test_it_stands_still_until_it_is_moved() -> None:
    clock = Clock()
    assert clock.now_ns() == clock.now_ns() == Clock().now_ns()
    assert clock.monotonic() == 0.0


def test_advance_moves_both_readings_by_the_same() -> None:
    clock = Clock(start_ns=5)
    clock.advance(1.5)
    clock.advance(0.000_000_001)
    clock.advance(0)
    assert clock.now_ns() == 5 + 1_500_000_001
    assert clock.monotonic() == 1.500_000_001
    assert repr(clock) == "<Clock 1.5 s after its start>"


@pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, math.inf, "1", None])
def test_it_never_goes_back(seconds: float) -> None:
    clock = Clock()
    with pytest.raises(ConfigError, match="moves forward by seconds"):
        clock.advance(seconds)
    assert clock.monotonic() == 0.0
