"""Weights that SDK 10.5.0 made of scores; `tests/interop/test_old_weights.py` asks it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.network import Hyperparameters
from node.neuron.scoring import prepare_weights, quantise

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "weights.json").read_text())


@pytest.mark.parametrize("case", VECTORS["cases"])
def test_ours_are_the_same(case: dict[str, Any]) -> None:
    hyper = Hyperparameters(
        min_allowed_weights=case["min_allowed_weights"], max_weight_limit=case["max_weight_limit"]
    )
    uids, numbers = quantise(*prepare_weights(case["scores"], hyper))
    assert uids == case["made"][0]
    # The SDK's 32-bit floats may move a number by one.
    assert numbers == [pytest.approx(number, abs=1) for number in case["made"][1]]


def test_the_vectors_are_of_every_kind() -> None:
    made = [(case, len(case["made"][0])) for case in VECTORS["cases"]]
    assert any(case["max_weight_limit"] < max(case["scores"]) for case, _ in made)
    padded = [count for case, count in made if count > sum(score > 0 for score in case["scores"])]
    assert padded
