"""The columns of a metagraph as old code takes them: `.tolist()`, `.item()`, picked by a list.

With NumPy they are its arrays, as in SDK 7-10, so that `np.where(metagraph.S > 1000)` works.
NumPy is not required: without it a `Row` has what most code asks of them.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterable
from typing import Any

__all__ = ["Amount", "Count", "Row", "column"]


def _numpy() -> Any:
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None


np = _numpy()


class Count(int):
    """A whole number that also has `item()`."""

    def item(self) -> int:
        """Return the plain number."""
        return int(self)


class Amount(float):
    """A number that also has `item()`."""

    def item(self) -> float:
        """Return the plain number."""
        return float(self)


class Row(list[Any]):
    """A list that also has `tolist()`, and can be indexed by a list of positions or of bools.

    Its numbers have `item()`.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__(_boxed(value) for value in values)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return Row(super().__getitem__(key))
        try:
            return super().__getitem__(operator.index(key))
        except TypeError:  # an array has an __index__ too, which most refuse
            keys = list(key)
        if keys and all(isinstance(choice, bool) for choice in keys):
            return Row(value for value, chosen in zip(self, keys, strict=True) if chosen)
        return Row(super(Row, self).__getitem__(operator.index(place)) for place in keys)

    def tolist(self) -> list[Any]:
        """Return a plain list of plain values."""
        return [value.item() if isinstance(value, Count | Amount) else value for value in self]


def _boxed(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return Count(value)
    return Amount(value) if isinstance(value, float) else value


def column(values: Iterable[Any], dtype: str) -> Any:
    """Return one column of a metagraph: a NumPy array where NumPy is there, or else a `Row`.

    Args:
        values: One for each uid.
        dtype: NumPy's name of the type, as SDK 10 has it: `int64`, `float32`, `bool`.
    """
    if np is None:
        return Row(values)
    return np.array(list(values), dtype=dtype)
