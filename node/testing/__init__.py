"""A test network in a box: real axons in one process, with clocks and faults that a test sets.

Names load on first use: pytest imports this package at its start, for the fixtures in `plugin`,
and that must cost nothing where they are not used. `docs/testing.md` shows how it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .behaviour import Behaviour
    from .clock import Clock
    from .faults import FAULTS, Fault, spread_faults
    from .network import TestNetwork

__all__ = ["FAULTS", "Behaviour", "Clock", "Fault", "TestNetwork", "spread_faults"]

_HOMES = {
    "FAULTS": ".faults",
    "Behaviour": ".behaviour",
    "Clock": ".clock",
    "Fault": ".faults",
    "TestNetwork": ".network",
    "spread_faults": ".faults",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
