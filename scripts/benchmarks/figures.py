"""Figures, the targets that they are held against, and how they come of rounds."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from .rounds import Rounds

__all__ = ["Figure", "Target", "at_least", "at_most", "below", "rate", "ratio"]

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure shall be.

    Attributes:
        relation: How the figure relates to the bound.
        bound: In the figure's unit.
    """

    relation: Literal[">=", "<=", "<"]
    bound: float

    def holds(self, value: float) -> bool:
        """Whether a value is as it shall be."""
        return _HOLDS[self.relation](value, self.bound)

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:,g}"


def at_least(bound: float) -> Target:
    """Return the target of a figure that shall be high."""
    return Target(">=", bound)


def at_most(bound: float) -> Target:
    """Return the target of a figure that shall be low."""
    return Target("<=", bound)


def below(bound: float) -> Target:
    """Return the target of a figure that shall be lower than a bound."""
    return Target("<", bound)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, taken once a round.

    Attributes:
        key: Its name in bench.json and in floors, `measure.what`.
        name: What readers see.
        unit: Its unit, "x" for a ratio.
        values: One for each round.
        target: What its median shall be, or None.
    """

    key: str
    name: str
    unit: str
    values: tuple[float, ...]
    target: Target | None = None

    @property
    def median(self) -> float:
        """The middle of the rounds, which is what counts."""
        return median(self.values)

    @property
    def low(self) -> float:
        """The lowest of the rounds."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest of the rounds."""
        return max(self.values)

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.target.holds(self.median)


def ratio(
    key: str,
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    target: Target | None = None,
) -> Figure:
    """Return a ratio, formed round by round: what slows a whole round down cancels out.

    Args:
        key: As for `Figure`.
        name: As for `Figure`.
        ours: One value for each round.
        theirs: Likewise; none is 0.
        target: As for `Figure`.

    Raises:
        ValueError: The rounds differ in number.
    """
    values = tuple(one / other for one, other in zip(ours, theirs, strict=True))
    return Figure(key, name, "x", values, target)


def rate(rounds: Rounds, contender: str, amount: str, time: str) -> list[float]:
    """Return an amount for each unit of time, round by round."""
    return _divided(rounds.of(contender, amount), rounds.of(contender, time))


def _divided(amounts: Iterable[float], times: Iterable[float]) -> list[float]:
    return [amount / time for amount, time in zip(amounts, times, strict=True)]
