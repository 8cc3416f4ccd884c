from __future__ import annotations

import hashlib
from random import Random

import pytest

from node.keys import ss58_encode
from node.network import Metagraph, Peer
from node.network.metagraph import Neuron, Snapshot
from node.neuron.scoring import Averages, Reason, absentees

KEYS = [hashlib.sha256(bytes([number])).digest() for number in range(6)]
HOTKEYS = [ss58_encode(key) for key in KEYS]
OWN, UNSCORED = 4, 5
# 0 and 1 serve, 2 is dormant, 3 does not serve; 4 is the validator; 5 does not serve either.
PORTS = [1, 1, 1, 0, 0, 0]


@pytest.fixture
def metagraph() -> Metagraph:
    neurons = [
        Neuron(uid, key, Peer(hotkey, "127.0.0.1", port) if port else None)
        for uid, (key, hotkey, port) in enumerate(zip(KEYS, HOTKEYS, PORTS, strict=True))
    ]
    return Metagraph(1, "test", Snapshot.of(neurons, 0))


def absent(
    metagraph: Metagraph, *, asked: int, seen: tuple[str, ...] = (), rng: Random | None = None
) -> dict[int, Reason]:
    scores = Averages(0.5, dict.fromkeys(HOTKEYS[:UNSCORED], 0.5))
    found = absentees(
        metagraph,
        scores,
        asked=asked,
        seen=seen,
        rng=rng or Random(1),
        own_key=KEYS[OWN],
        is_dormant=lambda peer: peer.hotkey == HOTKEYS[2],
    )
    assert [HOTKEYS[uid] for uid, _, _ in found] == [hotkey for _, hotkey, _ in found]
    return {uid: reason for uid, _, reason in found}


def test_who_is_away_with_a_score_is_named_with_the_reason(metagraph: Metagraph) -> None:
    assert absent(metagraph, asked=2) == {2: Reason.DORMANT, 3: Reason.NOT_SERVING}


def test_nobody_is_named_while_nobody_is_asked(metagraph: Metagraph) -> None:
    assert absent(metagraph, asked=0) == {}


def test_who_was_judged_in_this_step_is_not_named_again(metagraph: Metagraph) -> None:
    assert absent(metagraph, asked=2, seen=(HOTKEYS[2],)) == {3: Reason.NOT_SERVING}


def test_the_chance_is_that_of_being_asked(metagraph: Metagraph) -> None:
    rng = Random(2)
    count = sum(len(absent(metagraph, asked=1, rng=rng)) for _ in range(1000))
    assert 900 < count < 1100  # one of two that are there is asked, so half of 2000
