"""Weights beside SDK 6 to 10: scores go through the old SDK's functions and through ours.

The old SDK works in 32-bit floats, so that a number may differ by one unit of 65535. Where it makes
weights that the chain would refuse, we don't follow it; the cases that are left out for that are
counted, so that they can't be all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.network import Hyperparameters
from node.neuron.scoring import prepare_weights, quantise
from node.neuron.scoring.weights import U16_MAX, is_within

from .old_peers import Program

pytestmark = pytest.mark.interop

VECTORS = Path(__file__).parents[1] / "vectors" / "weights.json"

Case = dict[str, Any]
Numbers = tuple[list[int], list[int]]


@pytest.fixture(scope="module")
def program(sdk: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The old SDK's making of weights."""
    with Program(sdk, "old_weights.py", tmp_path_factory.mktemp("weights")) as program:
        yield program


def cases(seed: int, count: int) -> list[Case]:
    rng = random.Random(seed)
    return [case(rng) for _ in range(count)]


def case(rng: random.Random) -> Case:
    size, sparse, power = (
        rng.choice([8, 64, 256]),
        rng.choice([0, 0.5, 0.9]),
        rng.choice([1, 4, 12]),
    )
    scores = [0.0 if rng.random() < sparse else rng.random() ** power for _ in range(size)]
    scores[0] += 0.01
    # Subnets' validators scale to a sum of 1 before they hand their scores to the SDK.
    total = sum(scores)
    return {
        "scores": [score / total for score in scores],
        "min_allowed_weights": rng.choice([1, 8, size]),
        "max_weight_limit": rng.choice([1.0, 0.5, 6554 / U16_MAX, 0.02]),
    }


def rules_of(case: Case) -> Hyperparameters:
    return Hyperparameters(
        min_allowed_weights=case["min_allowed_weights"], max_weight_limit=case["max_weight_limit"]
    )


def is_taken(case: Case, numbers: list[int]) -> bool:
    enough = len(numbers) >= min(case["min_allowed_weights"], len(case["scores"]))
    return enough and is_within(numbers, case["max_weight_limit"])


def farthest(ours: Numbers, theirs: Numbers) -> int:
    left, right = dict(zip(*ours, strict=True)), dict(zip(*theirs, strict=True))
    return max(abs(left.get(uid, 0) - right.get(uid, 0)) for uid in left.keys() | right.keys())


def test_where_the_chain_takes_what_the_sdk_makes_ours_is_the_same(program: Program) -> None:
    asked = cases(1, 400)
    compared = 0
    for case, (uids, numbers) in zip(asked, program.ask(asked), strict=True):
        ours = quantise(*prepare_weights(case["scores"], rules_of(case)))
        could_be_taken = len(case["scores"]) * case["max_weight_limit"] >= 1
        assert is_taken(case, ours[1]) or not could_be_taken
        if is_taken(case, numbers):
            compared += 1
            assert farthest(ours, (uids, numbers)) <= 1, case
    assert compared > 200


def test_without_any_score_the_sdk_names_everybody_and_we_nobody(program: Program) -> None:
    nobody = {"scores": [0.0] * 4, "min_allowed_weights": 1, "max_weight_limit": 1.0}
    assert program.ask([nobody]) == [[[0, 1, 2, 3], [U16_MAX] * 4]]
    assert prepare_weights([0.0] * 4, Hyperparameters()) == ([], [])


def test_of_a_small_subnet_the_sdk_drops_the_scores_and_we_keep_them(program: Program) -> None:
    small: Case = {"scores": [0.75, 0.25], "min_allowed_weights": 8, "max_weight_limit": 1.0}
    assert program.ask([small]) == [[[0, 1], [U16_MAX, U16_MAX]]]
    assert quantise(*prepare_weights(small["scores"], rules_of(small)))[1] == [65535, 21845]


def test_the_recorded_vectors_are_what_the_sdk_makes(program: Program, sdk: str) -> None:
    vectors = json.loads(VECTORS.read_text())["cases"]
    for case, answer in zip(vectors, program.ask(vectors), strict=True):
        assert farthest(tuple(case["made"]), tuple(answer)) == 0, (sdk, case)
