"""Something that happens once, and who wants to hear of it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Latch"]


class Latch:
    """Is set once, and then calls those who asked for it, at once and in order.

    An `asyncio.Event` wakes its waiters in a later turn of the loop and needs a task for each,
    which took 15 us of a call.
    """

    __slots__ = ("_callbacks", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Note that it has happened; safe to call twice."""
        self.is_set = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def call(self, callback: Callable[[], None]) -> None:
        """Call this when it happens, or now if it has; it must not raise."""
        if self.is_set:
            callback()
        else:
            self._callbacks.append(callback)
