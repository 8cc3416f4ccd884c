from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import ConfigError, Overloaded, ReplayedRequest, StaleRequest
from node.wire import ReplayGuard

S = 1_000_000_000
NOW = 1_700_000_000 * S
KEY, OTHER = b"k" * 32, b"o" * 32


def test_a_pair_is_accepted_once() -> None:
    guard = ReplayGuard()
    guard.check_and_store(KEY, NOW, now_ns=NOW)
    guard.check_and_store(OTHER, NOW, now_ns=NOW)
    guard.check_and_store(KEY, NOW + 1, now_ns=NOW)
    with pytest.raises(ReplayedRequest):
        guard.check_and_store(KEY, NOW, now_ns=NOW)


@given(st.permutations(range(64)))
def test_order_of_arrival_does_not_matter(order: list[int]) -> None:
    guard = ReplayGuard()
    for index in order:
        guard.check_and_store(KEY, NOW + index, now_ns=NOW)
    assert len(guard) == 64


@pytest.mark.parametrize("offset_s", [16, -16])
def test_the_window_has_two_sides(offset_s: int) -> None:
    with pytest.raises(StaleRequest) as caught:
        ReplayGuard(window_s=15).check_and_store(KEY, NOW - offset_s * S, now_ns=NOW)
    assert caught.value.clock_offset_s == offset_s


@given(st.lists(st.integers(0, 40 * S), max_size=60))
def test_a_replay_is_refused_however_much_later(steps: list[int]) -> None:
    guard = ReplayGuard(window_s=15)
    now = NOW
    guard.check_and_store(KEY, NOW, now_ns=now)
    for step in steps:
        now += step
        with pytest.raises((ReplayedRequest, StaleRequest)):
            guard.check_and_store(KEY, NOW, now_ns=now)


def test_memory_is_given_back_when_the_window_has_passed() -> None:
    guard = ReplayGuard(window_s=15)
    for index in range(1000):
        guard.check_and_store(KEY, NOW + index, now_ns=NOW)
    later = NOW + 20 * S
    guard.check_and_store(KEY, later, now_ns=later)
    assert len(guard) == 1


def test_a_full_memory_refuses_and_forgets_nothing() -> None:
    guard = ReplayGuard(window_s=15, max_entries=10)
    for index in range(10):
        guard.check_and_store(KEY, NOW + index, now_ns=NOW)
    with pytest.raises(Overloaded) as caught:
        guard.check_and_store(OTHER, NOW, now_ns=NOW)
    assert caught.value.retry_after is not None
    assert 15 <= caught.value.retry_after <= 17
    with pytest.raises(ReplayedRequest):
        guard.check_and_store(KEY, NOW, now_ns=NOW)
    later = NOW + 17 * S
    guard.check_and_store(OTHER, later, now_ns=later)


def test_a_clock_that_steps_back_opens_no_gap() -> None:
    guard = ReplayGuard(window_s=15)
    guard.check_and_store(KEY, NOW, now_ns=NOW)
    guard.check_and_store(KEY, NOW + 60 * S, now_ns=NOW + 60 * S)  # drops the first bucket
    with pytest.raises(StaleRequest):
        guard.check_and_store(KEY, NOW, now_ns=NOW)


@pytest.mark.parametrize(("window_s", "max_entries"), [(0, 1), (-1, 1), (float("nan"), 1), (1, 0)])
def test_limits_that_make_no_sense_are_refused(window_s: float, max_entries: int) -> None:
    with pytest.raises(ConfigError):
        ReplayGuard(window_s=window_s, max_entries=max_entries)
