from __future__ import annotations

import asyncio

import pytest

from node import errors
from node.keys import ss58_encode
from node.network.metagraph import VACANT_KEY, Metagraph, Neuron, Snapshot
from node.network.record import Weights

from .conftest import key, peer_of

KEYS = [key(name) for name in ("Alice", "Bob", "Charlie")]


def neuron(uid: int, stake: float = 0.0, votes: dict[int, float] | None = None) -> Neuron:
    weights = Weights(1, tuple(votes), tuple(votes.values())) if votes else None
    return Neuron(uid, KEYS[uid].public_key, peer_of(KEYS[uid]), stake=stake, weights=weights)


def metagraph(*neurons: Neuron, block: int = 7) -> Metagraph:
    return Metagraph(8, "local", Snapshot.of(neurons, block))


class TestLists:
    def test_empty(self) -> None:
        graph = metagraph()
        assert (graph.n, graph.uids, graph.axons, graph.incentive) == (0, [], [], [])
        assert repr(graph) == "<Metagraph netuid=8 network='local' n=0 block=7>"

    def test_are_laid_out_by_uid(self) -> None:
        graph = metagraph(neuron(2, 3.0), neuron(0), neuron(1))
        assert graph.uids == [0, 1, 2]
        assert len(graph) == graph.n == 3
        assert graph.hotkeys == [pair.ss58_address for pair in KEYS]
        assert graph.axons == [peer_of(pair) for pair in KEYS]
        assert graph.stake == [0.0, 0.0, 3.0]
        assert graph.coldkeys == [""] * 3
        assert graph.validator_permit == [False] * 3
        assert graph.last_update == [0] * 3

    def test_a_neuron_without_an_endpoint_does_not_serve(self) -> None:
        (axon,) = metagraph(Neuron(0, KEYS[0].public_key, coldkey=KEYS[1].ss58_address)).axons
        assert (axon.hotkey, axon.is_serving) == (KEYS[0].ss58_address, False)
        assert axon.coldkey == KEYS[1].ss58_address

    def test_a_gap_is_vacant_and_nobody_is_found_there(self) -> None:
        graph = metagraph(neuron(0), neuron(2))
        assert graph.n == 3
        assert graph.hotkeys[1] == ss58_encode(VACANT_KEY)
        assert not graph.axons[1].is_serving
        assert graph.uid_of_key(VACANT_KEY) is None
        assert graph.uid_of(ss58_encode(VACANT_KEY)) is None


class TestLookUp:
    def test_by_address_with_any_prefix_and_by_key(self) -> None:
        graph = metagraph(neuron(0), neuron(1))
        assert graph.uid_of(KEYS[1].ss58_address) == 1
        assert graph.uid_of(ss58_encode(KEYS[1].public_key, 7391)) == 1
        assert graph.uid_of_key(KEYS[1].public_key) == 1
        assert graph.uid_of(KEYS[2].ss58_address) is None
        assert graph.uid_of_key(KEYS[2].public_key) is None

    def test_what_is_no_address_is_an_error(self) -> None:
        with pytest.raises(errors.InvalidAddress):
            metagraph().uid_of("5Grwva")


class TestIncentive:
    def test_without_weights_it_is_zero(self) -> None:
        assert metagraph(neuron(0, 5.0), neuron(1)).incentive == [0.0, 0.0]

    def test_without_stake_each_voter_counts_one(self) -> None:
        graph = metagraph(neuron(0, votes={1: 1.0}), neuron(1), neuron(2, votes={0: 0.5, 1: 0.5}))
        assert graph.incentive == pytest.approx([0.25, 0.75, 0.0])

    def test_stake_weighs_the_voters(self) -> None:
        graph = metagraph(neuron(0, 3.0, {1: 1.0}), neuron(1, 1.0, {0: 1.0}))
        assert graph.incentive == pytest.approx([0.25, 0.75])

    def test_the_stake_of_who_does_not_vote_does_not_count(self) -> None:
        graph = metagraph(neuron(0, 9.0), neuron(1, votes={2: 1.0}), neuron(2, votes={1: 1.0}))
        assert graph.incentive == pytest.approx([0.0, 0.5, 0.5])

    def test_weights_for_nobody_are_dropped(self) -> None:
        graph = metagraph(neuron(0, votes={0: 0.5, 1: 0.25, 3000: 0.25}), neuron(2))
        assert graph.incentive == pytest.approx([1.0, 0.0, 0.0])

    def test_weights_of_one_validator(self) -> None:
        graph = metagraph(neuron(0, votes={1: 0.75, 3000: 0.25}), neuron(1))
        assert graph.weights(0) == [0.0, 0.75]
        assert graph.weights(1) == [0.0, 0.0]
        for uid in (-1, 2):
            with pytest.raises(IndexError, match=f"uid {uid}"):
                graph.weights(uid)


class TestSync:
    def test_without_a_loop(self) -> None:
        newer = Snapshot.of([neuron(0)], 9)
        graph = Metagraph(8, "local", Snapshot(), lambda: newer)
        assert graph.sync() is graph
        assert (graph.n, graph.block) == (1, 9)

    async def test_inside_a_loop_all_lists_change_at_once(self) -> None:
        gate = asyncio.Event()

        async def load() -> Snapshot:
            await gate.wait()
            return Snapshot.of([neuron(0), neuron(1)], 9)

        graph = Metagraph(8, "local", Snapshot(), load)
        syncing = asyncio.create_task(graph.sync())
        await asyncio.sleep(0)
        assert graph.n == 0
        gate.set()
        assert await syncing is graph
        assert (graph.n, len(graph.axons), len(graph.incentive), graph.block) == (2, 2, 2, 9)

    async def test_a_failed_or_cancelled_reading_changes_nothing(self) -> None:
        failures: list[BaseException] = [errors.NetworkError("gone"), asyncio.CancelledError()]

        async def load() -> Snapshot:
            raise failures.pop()

        graph = Metagraph(8, "local", Snapshot.of([neuron(0)], 9), load)
        with pytest.raises(asyncio.CancelledError):
            await graph.sync()
        with pytest.raises(errors.NetworkError, match="gone"):
            await graph.sync()
        assert (graph.n, graph.block) == (1, 9)

    def test_one_made_by_hand_has_nothing_to_read(self) -> None:
        with pytest.raises(ValueError, match="no network"):
            metagraph().sync()
