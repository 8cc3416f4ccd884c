"""The memory for nonces that count uptime: once each, in any order, and never forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import ConfigError, Overloaded, ReplayedRequest, StaleRequest
from node.wire.uptime import UPTIME_LIMIT_NS, UptimeGuard

S = 1_000_000_000
START = 3600 * S
KEY, OTHER = b"k" * 32, b"o" * 32


def refused(guard: UptimeGuard, uuid: str, nonce_ns: int) -> bool:
    try:
        guard.check_and_store(KEY, uuid, nonce_ns)
    except (ReplayedRequest, StaleRequest):
        return True
    return False


def test_a_nonce_is_accepted_once_per_session_of_a_key() -> None:
    guard = UptimeGuard()
    for key, uuid in ((KEY, "a"), (KEY, "b"), (OTHER, "a")):
        guard.check_and_store(key, uuid, START)
        with pytest.raises(ReplayedRequest):
            guard.check_and_store(key, uuid, START)
    assert len(guard) == 3


@given(st.permutations(range(64)))
def test_order_of_arrival_does_not_matter(order: list[int]) -> None:
    guard = UptimeGuard()
    assert not any(refused(guard, "a", START + index) for index in order)


def test_what_is_behind_the_window_is_stale() -> None:
    guard = UptimeGuard(window_s=16)
    guard.check_and_store(KEY, "a", START)
    guard.check_and_store(KEY, "a", START - 16 * S)
    with pytest.raises(StaleRequest):
        guard.check_and_store(KEY, "a", START - 16 * S - 1)


def test_the_window_hangs_on_the_newest_nonce_swept_or_not() -> None:
    guard = UptimeGuard(window_s=16)
    for offset_s in (0, 10, 3):
        guard.check_and_store(KEY, "a", START + offset_s * S)
    # It moved by less than its length, so nothing was swept; what fell out is refused all the same.
    with pytest.raises(StaleRequest):
        guard.check_and_store(KEY, "a", START - 8 * S)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=80), st.integers(1, 12))
def test_nothing_gets_in_twice_however_it_is_swept(steps: list[int], max_entries: int) -> None:
    guard = UptimeGuard(window_s=20e-9, max_entries=max_entries)
    accepted = []
    for step in steps:
        if not refused(guard, "a", 1000 + step):
            accepted.append(1000 + step)
        assert all(refused(guard, "a", nonce) for nonce in accepted)
        assert len(guard) <= max_entries
    assert len(set(accepted)) == len(accepted)


def test_memory_is_given_back_as_a_session_goes_on() -> None:
    guard = UptimeGuard(window_s=16)
    for index in range(1000):
        guard.check_and_store(KEY, "a", START + index * S)
    assert len(guard) <= 34


def test_a_full_memory_narrows_windows_and_lets_nothing_in_twice() -> None:
    guard = UptimeGuard(max_entries=10)
    for index in range(11):
        guard.check_and_store(KEY, "a", START + 2 * index)
    assert len(guard) == 0
    assert all(refused(guard, "a", START + index) for index in range(21))
    assert not refused(guard, "a", START + 21)


def test_sessions_are_bounded_for_each_key_and_in_all() -> None:
    guard = UptimeGuard(max_sessions=3, max_sessions_per_key=2)
    guard.check_and_store(KEY, "a", START)
    guard.check_and_store(KEY, "b", START)
    with pytest.raises(Overloaded):
        guard.check_and_store(KEY, "c", START)
    guard.check_and_store(OTHER, "a", START)
    with pytest.raises(Overloaded):
        guard.check_and_store(OTHER, "b", START)
    guard.check_and_store(KEY, "a", START + 1)  # those that are known go on
    with pytest.raises(ReplayedRequest):
        guard.check_and_store(KEY, "b", START)


@pytest.mark.parametrize("nonce_ns", [-1, UPTIME_LIMIT_NS, 1_735_689_600 * S])
def test_a_nonce_that_is_no_uptime_is_stale(nonce_ns: int) -> None:
    with pytest.raises(StaleRequest):
        UptimeGuard().check_and_store(KEY, "a", nonce_ns)


@pytest.mark.parametrize(
    "limits",
    [
        {"window_s": 0},
        {"window_s": float("nan")},
        {"window_s": float("inf")},
        {"max_sessions": 0},
        {"max_sessions_per_key": 0},
        {"max_entries": 0},
    ],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        UptimeGuard(**limits)
