"""What a peer, or a function that reads what peers say, may put where a number belongs."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from numbers import Rational
from typing import Any

__all__ = ["NOT_FINITE"]


class Trap(Fraction):
    """A real number by its type, which can't be made a float."""

    def __float__(self) -> float:
        raise RuntimeError("trap")


assert issubclass(Trap, Rational)

NOT_FINITE: list[Any] = [
    float("nan"),
    float("inf"),
    float("-inf"),
    10**400,
    -(10**400),
    True,
    "0.5",
    b"0.5",
    None,
    1j,
    [0.5],
    {},
    Decimal("0.5"),
    Trap(1, 2),
    object(),
]
