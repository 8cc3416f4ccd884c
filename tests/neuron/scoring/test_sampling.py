from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from node import Keypair, Metagraph, Peer, errors
from node.keys import ss58_encode
from node.network.metagraph import Neuron, Snapshot
from node.neuron.scoring import sample

ALICE = Keypair.from_uri("//Alice")


def key_of(uid: int) -> bytes:
    return (uid + 1).to_bytes(32, "big")


def graph(
    size: int,
    *,
    silent: Sequence[int] = (),
    stake: dict[int, float] | None = None,
    permits: Sequence[int] = (),
) -> Metagraph:
    """A subnet whose uids all serve, but for some."""
    stakes = stake or {}
    neurons = [
        Neuron(
            uid,
            key_of(uid),
            None if uid in silent else Peer(ss58_encode(key_of(uid)), "127.0.0.1", 8091),
            stake=stakes.get(uid, 0.0),
            validator_permit=uid in permits,
        )
        for uid in range(size)
    ]
    return Metagraph(1, "test", Snapshot.of(neurons, 0))


def pick(metagraph: Metagraph, size: int, seed: int = 1, **options: object) -> list[int]:
    settings: dict[str, object] = {"own_hotkey": ALICE.ss58_address, **options}
    return sample(metagraph, size, rng=Random(seed), **settings)  # type: ignore[arg-type]


def test_as_many_as_asked_for_and_none_twice() -> None:
    uids = pick(graph(256), 50)
    assert len(uids) == len(set(uids)) == 50
    assert set(uids) <= set(range(256))


def test_all_there_are_where_there_are_fewer() -> None:
    assert sorted(pick(graph(3), 50)) == [0, 1, 2]
    assert pick(graph(0), 50) == []
    assert pick(graph(3), 0) == []


def test_only_those_that_serve() -> None:
    assert sorted(pick(graph(5, silent=[1, 3]), 5)) == [0, 2, 4]


def test_a_vacant_uid_is_never_picked() -> None:
    neurons = [Neuron(2, key_of(2), Peer(ss58_encode(key_of(2)), "127.0.0.1", 1))]
    assert pick(Metagraph(1, "test", Snapshot.of(neurons, 0)), 9) == [2]


@pytest.mark.parametrize("prefix", [42, 0])
def test_never_oneself(prefix: int) -> None:
    own = ss58_encode(key_of(2), prefix)
    assert sorted(pick(graph(4), 4, own_hotkey=own)) == [0, 1, 3]
    assert sorted(pick(graph(4), 4, own_hotkey=None)) == [0, 1, 2, 3]


def test_a_validator_with_more_stake_than_the_limit_is_left_out() -> None:
    metagraph = graph(4, stake={0: 5000.0, 1: 5000.0, 2: 4096.0, 3: 10.0}, permits=[0, 2, 3])
    assert sorted(pick(metagraph, 4)) == [1, 2, 3]
    assert sorted(pick(metagraph, 4, vpermit_tao_limit=9.0)) == [1]
    assert sorted(pick(metagraph, 4, vpermit_tao_limit=math.inf)) == [0, 1, 2, 3]


def test_those_to_skip_are_asked_about_once_and_left_out() -> None:
    seen: list[Peer] = []

    def skip(peer: Peer) -> bool:
        seen.append(peer)
        return peer.public_key == key_of(1)

    metagraph = graph(4, silent=[3])
    assert sorted(pick(metagraph, 4, skip=skip)) == [0, 2]
    assert seen == metagraph.axons[:3]


def test_each_peer_has_the_same_chance() -> None:
    metagraph, rng = graph(10, silent=[4]), Random(7)
    counts: Counter[int] = Counter()
    first: Counter[int] = Counter()
    for _ in range(9000):
        uids = sample(metagraph, 3, rng=rng, own_hotkey=None)
        counts.update(uids)
        first[uids[0]] += 1
    assert counts.keys() == first.keys() == set(range(10)) - {4}
    # 3000 and 1000 are expected; five standard deviations are 224 and 149.
    assert all(2770 < count < 3230 for count in counts.values())
    assert all(850 < count < 1150 for count in first.values())


def test_the_same_chance_gives_the_same_sample() -> None:
    assert pick(graph(100), 10, seed=3) == pick(graph(100), 10, seed=3)
    assert pick(graph(100), 10, seed=3) != pick(graph(100), 10, seed=4)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(errors.ConfigError, match="size of a sample"):
        pick(graph(3), -1)
    with pytest.raises(errors.InvalidAddress):
        pick(graph(3), 1, own_hotkey="5Grw")
