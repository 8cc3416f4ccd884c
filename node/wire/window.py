"""Freshness of a nonce that is Unix time, and whether a replay memory lasts as long."""

from __future__ import annotations

from node.errors import ConfigError, StaleRequest

from .replay import ReplayGuard

__all__ = ["check_age", "check_guard"]

_SECOND_NS = 1_000_000_000


def check_age(nonce_ns: int, now_ns: int, *, max_age_s: float, allowed_skew_s: float) -> None:
    """Check that a nonce lies in the window, both ends included.

    Raises:
        StaleRequest: It does not; `clock_offset_s` says by how much the clocks differ.
    """
    age_ns = now_ns - nonce_ns
    if age_ns > int(max_age_s * _SECOND_NS) or -age_ns > int(allowed_skew_s * _SECOND_NS):
        raise StaleRequest.by(age_ns, "the nonce is outside the window")


def check_guard(guard: ReplayGuard | None, *, max_age_s: float, allowed_skew_s: float) -> None:
    """Check that a guard, if there is one, remembers for as long as the window lasts.

    Raises:
        ConfigError: It forgets sooner.
    """
    needed_s = max(max_age_s, allowed_skew_s)
    if guard is not None and guard.window_s < needed_s:
        raise ConfigError(
            f"the replay guard remembers for {guard.window_s:g} s, less than the window of "
            f"{needed_s:g} s; give it a window_s at least that long"
        )
