from __future__ import annotations

import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import Keypair, errors
from node.keys import ss58_decode, ss58_encode
from node.neuron.scoring import Averages

from .hostile import NOT_FINITE

ALICE, BOB, EVE = (Keypair.from_uri(uri).ss58_address for uri in ("//Alice", "//Bob", "//Eve"))
ALICE_ON_POLKADOT = ss58_encode(ss58_decode(ALICE), 0)


def test_the_first_reward_starts_from_nothing() -> None:
    averages = Averages(alpha=0.1)
    averages.update({ALICE: 1.0})
    assert averages.score_of(ALICE) == pytest.approx(0.1)


def test_each_reward_moves_it_by_its_share() -> None:
    averages = Averages(alpha=0.25, scores={ALICE: 0.8})
    averages.update({ALICE: 0.4})
    assert averages.score_of(ALICE) == pytest.approx(0.25 * 0.4 + 0.75 * 0.8)


def test_only_those_that_were_rewarded_move() -> None:
    averages = Averages(scores={ALICE: 0.5, BOB: 0.5})
    averages.update({ALICE: 0.0})
    assert averages.as_dict() == {ALICE: pytest.approx(0.45), BOB: 0.5}


def test_a_uid_that_changes_hands_starts_fresh() -> None:
    hotkeys = [ALICE, BOB]
    averages = Averages(scores={ALICE: 0.9, BOB: 0.3})
    hotkeys[0] = EVE
    assert averages.for_hotkeys(hotkeys) == [0.0, 0.3]


def test_a_hotkey_keeps_its_score_at_another_uid() -> None:
    averages = Averages(scores={ALICE: 0.9})
    assert averages.for_hotkeys([BOB, EVE, ALICE]) == [0.0, 0.0, 0.9]


def test_one_key_has_one_score_however_it_is_spelt() -> None:
    averages = Averages(alpha=0.5, scores={ALICE_ON_POLKADOT: 0.4})
    averages.update({ALICE_ON_POLKADOT: 1.0})
    assert averages.as_dict() == {ALICE: pytest.approx(0.7)}
    assert averages.score_of(ALICE_ON_POLKADOT) == averages.score_of(ALICE)


@pytest.mark.parametrize("value", [*NOT_FINITE, -1.0], ids=lambda value: type(value).__name__)
def test_a_reward_that_is_no_number_from_0_counts_0(value: Any) -> None:
    averages = Averages(alpha=0.5, scores={ALICE: 0.8, BOB: value})
    averages.update({ALICE: value, EVE: value})
    assert averages.as_dict() == {ALICE: pytest.approx(0.4), BOB: 0.0, EVE: 0.0}


@given(
    alpha=st.floats(0, 1, exclude_min=True),
    rewards=st.lists(st.floats() | st.integers() | st.none(), max_size=20),
)
def test_a_score_is_always_finite_and_not_negative(alpha: float, rewards: list[Any]) -> None:
    averages = Averages(alpha=alpha)
    for reward in rewards:
        averages.update({ALICE: reward})
    score = averages.score_of(ALICE)
    assert math.isfinite(score)
    assert score >= 0.0


def test_the_largest_float_does_not_become_infinity() -> None:
    most = sys.float_info.max
    for alpha in (0.1, 0.3, 0.7):
        averages = Averages(alpha=alpha, scores={ALICE: most})
        averages.update({ALICE: most})
        assert averages.score_of(ALICE) <= most


def test_a_bad_address_moves_nothing() -> None:
    averages = Averages(scores={ALICE: 0.5})
    with pytest.raises(errors.InvalidAddress):
        averages.update({ALICE: 1.0, "5Grw": 1.0})
    assert averages.as_dict() == {ALICE: 0.5}
    with pytest.raises(errors.InvalidAddress):
        averages.score_of("5Grw")


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.1, math.nan, math.inf, "0.1", None, True])
def test_an_alpha_out_of_range_is_refused(alpha: Any) -> None:
    with pytest.raises(errors.ConfigError, match="alpha"):
        Averages(alpha=alpha)


def test_a_copy_is_given_and_taken() -> None:
    given_scores = {ALICE: 0.5}
    averages = Averages(scores=given_scores)
    given_scores[ALICE] = 9.0
    averages.as_dict()[ALICE] = 9.0
    assert averages.score_of(ALICE) == 0.5


def test_hotkeys_that_left_can_be_forgotten() -> None:
    averages = Averages(scores={ALICE: 0.5, BOB: 0.5})
    averages.keep_only([BOB, EVE])
    assert averages.as_dict() == {BOB: 0.5}
    assert repr(averages) == "<Averages of 1 hotkeys, alpha=0.1>"
