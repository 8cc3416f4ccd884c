"""What of a validator's state can be exported: tables, their columns and the types of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

from node.neuron.state import StateReader

__all__ = ["EXPORTS", "Column", "Export", "Kind"]


class Kind(Enum):
    """The type of a column's values; each value may be missing."""

    INTEGER = auto()
    NUMBER = auto()
    TEXT = auto()
    MOMENT = auto()  # Unix nanoseconds


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its heading.
        kind: Its type.
        field: The attribute of a row that it shows; its name where not said.
    """

    name: str
    kind: Kind
    field: str = ""

    def value_of(self, row: Any) -> Any:
        """The value, None for one that is missing, NaN among them."""
        value = getattr(row, self.field or self.name)
        return None if isinstance(value, float) and math.isnan(value) else value


@dataclass(frozen=True, slots=True)
class Export:
    """One table.

    Attributes:
        rows: Reads its rows from a state.
        columns: In their order.
    """

    rows: Callable[[StateReader], Generator[Any, None, None]]
    columns: tuple[Column, ...]


def _columns(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names)


_SCORES = Export(
    StateReader.standings,
    (
        Column("uid", Kind.INTEGER),
        Column("hotkey", Kind.TEXT),
        Column("score", Kind.NUMBER),
        Column("updated_step", Kind.INTEGER),
        Column("updated", Kind.MOMENT, "updated_ns"),
        Column("reward", Kind.NUMBER),
        Column("reason", Kind.TEXT),
        Column("answered", Kind.MOMENT, "answered_ns"),
    ),
)
_EVENTS = Export(
    StateReader.events,
    (
        *_columns(Kind.INTEGER, "step", "uid"),
        Column("hotkey", Kind.TEXT),
        Column("reward", Kind.NUMBER),
        Column("reason", Kind.TEXT),
        Column("status", Kind.INTEGER),
        *_columns(Kind.NUMBER, "first_byte_s", "total_s"),
        *_columns(Kind.INTEGER, "tokens", "chunks", "bytes"),
        Column("tokens_per_s", Kind.NUMBER),
    ),
)
_STEPS = Export(
    StateReader.steps,
    (
        Column("step", Kind.INTEGER),
        Column("started", Kind.MOMENT, "started_ns"),
        Column("ended", Kind.MOMENT, "ended_ns"),
        *_columns(Kind.INTEGER, "block", "asked", "answered"),
        Column("note", Kind.TEXT),
    ),
)
_WEIGHTS = Export(
    StateReader.weights,
    (
        Column("block", Kind.INTEGER),
        Column("set", Kind.MOMENT, "set_ns"),
        Column("uid", Kind.INTEGER),
        Column("weight", Kind.NUMBER),
    ),
)

EXPORTS: Mapping[str, Export] = MappingProxyType(
    {"scores": _SCORES, "events": _EVENTS, "steps": _STEPS, "weights": _WEIGHTS}
)
"""The tables by name."""
