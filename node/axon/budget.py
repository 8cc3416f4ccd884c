"""How much of request bodies an axon holds for senders who have not proved who they are.

A signature covers the body, so the body must be read before it can be checked. Each body has a
cap; this bounds all of them together, so that many connections can't fill the memory.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from node.errors import Overloaded

__all__ = ["BodyBudget", "BodyShare"]


class BodyBudget:
    """The bytes that unproven bodies may hold at once, in all.

    Args:
        max_bytes: That many.

    Attributes:
        free: Bytes that are not held.
    """

    def __init__(self, max_bytes: int) -> None:
        self.free = max_bytes

    def share(self) -> BodyShare:
        """Give one request a share, which is given back at the end of its `with` block."""
        return BodyShare(self)

    def check(self, size: int) -> None:
        """Check that so many bytes are left.

        Raises:
            Overloaded: They are not.
        """
        if size > self.free:
            raise Overloaded("bodies of unproven senders hold all they may", retry_after=1.0)

    def take(self, size: int) -> None:
        """Take bytes out of the budget.

        Raises:
            Overloaded: There are not so many left.
        """
        self.check(size)
        self.free -= size


class BodyShare:
    """What one request holds of the budget: it grows with the body, for as long as a block runs.

    Attributes:
        held: Bytes.
    """

    __slots__ = ("_budget", "held")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._budget.free += self.held
        self.held = 0

    def grow(self, size: int) -> None:
        """Hold more bytes.

        Raises:
            Overloaded: The budget is used up.
        """
        self._budget.take(size)
        self.held += size
