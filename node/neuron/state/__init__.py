"""What a validator remembers: scores, events, steps and weights in one SQLite file."""

from __future__ import annotations

from .place import state_path
from .reader import StateReader
from .rows import (
    NO_UID,
    Event,
    Identity,
    Point,
    Saved,
    ScoreRow,
    Standing,
    Step,
    WeightRow,
)
from .validator_state import ValidatorState

__all__ = [
    "NO_UID",
    "Event",
    "Identity",
    "Point",
    "Saved",
    "ScoreRow",
    "Standing",
    "StateReader",
    "Step",
    "ValidatorState",
    "WeightRow",
    "state_path",
]
