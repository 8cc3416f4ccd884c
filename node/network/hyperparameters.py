"""The rules of a subnet that a validator must keep to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Hyperparameters"]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a network asks of those who set weights on one subnet.

    Attributes:
        tempo: Blocks between two rounds of consensus.
        weights_rate_limit: Blocks that must lie between two settings of weights by one hotkey.
        min_allowed_weights: Fewest uids that a setting must name.
        max_weight_limit: The largest share of the whole that one uid may get, above 0 up to 1.
        commit_reveal: Whether weights are committed first and revealed later.
    """

    tempo: int = 360
    weights_rate_limit: int = 0
    min_allowed_weights: int = 1
    max_weight_limit: float = 1.0
    commit_reveal: bool = False
