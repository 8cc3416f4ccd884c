"""Scoring as pure functions: reasons, latency, averages, sampling, weights."""

from __future__ import annotations

from .absence import absentees
from .averages import Averages
from .latency import LatencyCurve
from .measured import checked_reward, finite
from .reasons import Reason, reason_of
from .sampling import sample
from .weights import prepare_weights, quantise

__all__ = [
    "Averages",
    "LatencyCurve",
    "Reason",
    "absentees",
    "checked_reward",
    "finite",
    "prepare_weights",
    "quantise",
    "reason_of",
    "sample",
]
