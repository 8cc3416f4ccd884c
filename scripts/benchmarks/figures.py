"""One measured figure and the target that it is held against."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure.

    Attributes:
        name: What was measured.
        value: The figure.
        unit: Its unit, "" for a ratio.
        target: The target in words.
        holds: Whether it is met.
    """

    name: str
    value: float
    unit: str
    target: str
    holds: bool
