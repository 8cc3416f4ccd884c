"""How long a caller waits, phase by phase."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from node.errors import ConfigError

__all__ = ["Deadlines", "PhaseClock"]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that one call may take; None sets no limit for that phase.

    Attributes:
        connect: Until the connection stands, name look-up included.
        first_byte: From then until the first byte of the reply's content.
        idle: Between two reads of a stream.
        total: All in all. Time in which the caller's own reader holds a stream back does not
            count, here or in `idle`.

    Raises:
        ConfigError: A limit is not a number above 0.
    """

    connect: float | None = 4.0
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = 12.0

    def __post_init__(self) -> None:
        for name in ("connect", "first_byte", "idle", "total"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"the {name} deadline must be a number above 0, not {value!r}")

    def within(self, total: float | None) -> Deadlines:
        """Return these deadlines with another total."""
        return replace(self, total=total)


class PhaseClock:
    """Watches one call: which phase it is in, and how much of each limit is used up.

    Waiting is done inside `waiting`, which raises TimeoutError when the phase's limit or the
    total's rest has passed; `expired` then says which. Between such blocks the clock stands
    still, so time that the caller's own reader takes is nobody's.
    """

    def __init__(self, deadlines: Deadlines) -> None:
        self._left = {
            "connect": deadlines.connect,
            "first_byte": deadlines.first_byte,
            "total": deadlines.total,
        }
        self._idle = deadlines.idle
        self._scope: asyncio.Timeout | None = None
        self._phase = "connect"
        self._phase_began = 0.0
        self.expired = "connect"

    @asynccontextmanager
    async def waiting(self, phase: str) -> AsyncIterator[None]:
        """Limit what the block waits for; `phase` is `connect`, `first_byte` or `idle`."""
        async with asyncio.timeout(None) as scope:
            self._scope = scope
            self._phase_began = asyncio.get_running_loop().time()
            self._start(phase)
            try:
                yield
            finally:
                self._spend()
                self._scope = None

    def enter(self, phase: str) -> None:
        """Move on to another phase inside the block that is waiting."""
        if self._scope is not None:
            self._spend()
            self._start(phase)

    def pause(self) -> None:
        """Stand still inside the block that is waiting, until `enter`."""
        if self._scope is not None:
            self._spend()
            self._phase = "pause"
            self._scope.reschedule(None)

    def _start(self, phase: str) -> None:
        self._phase = phase
        limits = {phase: self._left.get(phase, self._idle), "total": self._left["total"]}
        set_limits = {name: limit for name, limit in limits.items() if limit is not None}
        if self._scope is None:
            return
        if not set_limits:
            self._scope.reschedule(None)  # the phase before may have had one
            return
        self.expired = min(set_limits, key=lambda name: set_limits[name])
        self._scope.reschedule(self._phase_began + set_limits[self.expired])

    def _spend(self) -> None:
        """Take the time since the phase began off the limits that last over several waits."""
        now = asyncio.get_running_loop().time()
        spent, self._phase_began = now - self._phase_began, now
        if self._phase == "pause":
            return
        for name in {self._phase, "total"} & self._left.keys():
            left = self._left[name]
            if left is not None:
                self._left[name] = max(0.0, left - spent)
