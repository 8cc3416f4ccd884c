"""Turns of contenders, one after another, round by round."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Rounds", "Turn", "alternate", "spans"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did in one round.

    Attributes:
        number: The round, from 0.
        contender: Its name.
        result: Quantities by name; a name ends in its unit.
    """

    number: int
    contender: str
    result: Mapping[str, float]


class Rounds:
    """All turns of one measure.

    Args:
        turns: In the order in which they were taken.
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = tuple(turns)

    def __contains__(self, contender: str) -> bool:
        return any(turn.contender == contender for turn in self.turns)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    def of(self, contender: str, quantity: str) -> list[float]:
        """Return a quantity of a contender, round by round."""
        return [turn.result[quantity] for turn in self.turns if turn.contender == contender]


async def alternate(
    names: Sequence[str],
    numbers: range,
    take: Callable[[str], Awaitable[Mapping[str, float]]],
) -> Rounds:
    """Let each contender have its turn in each round.

    Every other round goes backwards, so that what drifts on the machine favours nobody.

    Args:
        names: The contenders.
        numbers: Those of the rounds.
        take: Takes the turn of one.
    """
    turns = [
        Turn(number, name, await take(name))
        for number in numbers
        for name in (names if number % 2 == 0 else reversed(names))
    ]
    return Rounds(turns)


def spans(rounds: int, count: int) -> list[range]:
    """Return the numbers of all rounds in `count` spans, fewer where there are not so many."""
    length = max(1, math.ceil(rounds / count))
    return [range(at, min(at + length, rounds)) for at in range(0, rounds, length)]
