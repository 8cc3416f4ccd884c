"""A clock that stands still until a test moves it."""

from __future__ import annotations

from node.errors import ConfigError

__all__ = ["Clock"]

_START_NS = 1_750_000_000 * 10**9


class Clock:
    """Gives the time to whatever takes a clock as an argument.

    `now_ns` is for `clock_ns=` of axons and dendrites and `clock=` of a `LocalNetwork`, `monotonic`
    for what counts seconds. Timeouts and sleeps go by the event loop's own clock and are not moved
    by it. Reading is safe from any thread; move it from one.

    Args:
        start_ns: Unix nanoseconds at the beginning; the same instant in 2025 for every clock
            unless told otherwise, so that a test gives the same result each time.
    """

    def __init__(self, start_ns: int = _START_NS) -> None:
        self._start_ns = start_ns
        self._passed_ns = 0

    def now_ns(self) -> int:
        """Return Unix nanoseconds."""
        return self._start_ns + self._passed_ns

    def monotonic(self) -> float:
        """Return the seconds that it was moved by since it was made."""
        return self._passed_ns / 1e9

    def advance(self, seconds: float) -> None:
        """Move it forward.

        Args:
            seconds: 0 or more.

        Raises:
            ConfigError: `seconds` is below 0, not finite or no number.
        """
        try:
            passed_ns = round(seconds * 1e9)
        except (OverflowError, TypeError, ValueError):
            passed_ns = -1
        if passed_ns < 0:
            raise ConfigError(f"a clock moves forward by seconds, 0 or more, not {seconds!r}")
        self._passed_ns += passed_ns

    def __repr__(self) -> str:
        return f"<Clock {self.monotonic():g} s after its start>"
