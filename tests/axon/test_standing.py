"""How long a snapshot of the metagraph says who may call, with a network that can be taken away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from node import Keypair, Metagraph
from node.axon.standing import Standing, StandingRules
from node.errors import Forbidden, NetworkError, OutOfTouch
from node.network.metagraph import Neuron, Snapshot
from node.wire import Caller
from node.wire.caller import make_caller

ALICE, BOB = Keypair.from_uri("//Alice"), Keypair.from_uri("//Bob")


def caller(keypair: Keypair) -> Caller:
    return make_caller(
        public_key=keypair.public_key, scheme="sr25519", protocol="btauth", nonce_ns=1, signed=b""
    )


class FakeNetwork:
    """Lists some neurons, for as long as it is there."""

    name = "fake"

    def __init__(self, *listed: Keypair) -> None:
        self.listed = list(listed)
        self.is_there = True
        self.reads = 0

    async def _load(self) -> Snapshot:
        self.reads += 1
        if not self.is_there:
            raise NetworkError("nobody answers")
        neurons = [Neuron(uid, keypair.public_key) for uid, keypair in enumerate(self.listed)]
        return Snapshot.of(neurons, 1)

    async def metagraph(self, netuid: int) -> Metagraph:
        return Metagraph(netuid, self.name, await self._load(), self._load)


class TellingNetwork(FakeNetwork):
    """Tells of changes when it is asked to."""

    def __init__(self, *listed: Keypair) -> None:
        super().__init__(*listed)
        self.news: asyncio.Queue[None] = asyncio.Queue()
        self.ended = False

    async def changes(self, netuid: int) -> AsyncIterator[None]:
        try:
            while True:
                await self.news.get()
                yield
        finally:
            self.ended = True


async def started(network: Any, **options: Any) -> Standing:
    rules = StandingRules(**options.pop("rules", {}))
    standing = Standing(network, 8, rules, **{"refresh_s": 0.02, "max_stale_s": 0.3, **options})
    await standing.start()
    return standing


async def test_stale_after_the_limit_and_fresh_again_by_itself(
    caplog: pytest.LogCaptureFixture, skip_ahead: Callable[[float], None]
) -> None:
    caplog.set_level(logging.WARNING)
    network = FakeNetwork(ALICE)
    standing = await started(network, max_stale_s=60.0)
    network.is_there = False
    for _ in range(4):
        skip_ahead(10.0)
        await asyncio.sleep(0.01)
        await standing.check_known(ALICE.public_key)
        standing.check_allowed(caller(ALICE))
    skip_ahead(25.0)
    await asyncio.sleep(0.05)
    with pytest.raises(OutOfTouch) as caught:
        await standing.check_known(ALICE.public_key)
    assert caught.value.retry_after == 0.02
    with pytest.raises(OutOfTouch):
        standing.check_allowed(caller(ALICE))
    # A stranger learns no more, and makes no work.
    reads = network.reads
    with pytest.raises(OutOfTouch):
        await standing.check_known(BOB.public_key)
    assert network.reads <= reads + 1
    network.is_there = True
    await asyncio.sleep(0.1)
    await standing.check_known(ALICE.public_key)
    standing.check_allowed(caller(ALICE))
    await standing.stop()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


@pytest.mark.parametrize(
    ("rules", "is_served"),
    [
        ({"allow_non_registered": True}, True),
        ({"allow_non_registered": True, "minimum_stake": 0.5}, False),
        ({"allow_non_registered": True, "force_validator_permit": True}, False),
        ({"minimum_stake": 0.0}, False),
    ],
)
async def test_who_needs_no_standing_is_served_on(rules: dict[str, Any], is_served: bool) -> None:
    network = FakeNetwork(BOB)
    standing = await started(network, rules=rules, max_stale_s=0.05)
    network.is_there = False
    await asyncio.sleep(0.1)
    for keypair in (ALICE, BOB):
        if is_served:
            await standing.check_known(keypair.public_key)
            standing.check_allowed(caller(keypair))
        else:
            with pytest.raises(OutOfTouch):
                await standing.check_known(keypair.public_key)
    await standing.stop()


async def test_a_stranger_is_refused_as_one_while_the_snapshot_counts() -> None:
    network = FakeNetwork(BOB)
    standing = await started(network, max_stale_s=60.0, refresh_s=60.0)
    network.is_there = False
    with pytest.raises(Forbidden):
        await standing.check_known(ALICE.public_key)
    assert network.reads == 2
    await standing.stop()


async def test_a_change_refreshes_at_once_and_a_burst_once_a_second() -> None:
    network = TellingNetwork(BOB)
    standing = await started(network, refresh_s=60.0)
    assert standing.metagraph is not None
    network.listed.append(ALICE)
    for _ in range(50):
        network.news.put_nowait(None)
    async with asyncio.timeout(5):
        while standing.metagraph.n == 1:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert network.reads == 2
    await standing.stop()
    assert network.ended


async def test_without_a_network_nothing_is_stale() -> None:
    standing = Standing(None, None, StandingRules(), max_stale_s=0.001)
    await standing.start()
    await asyncio.sleep(0.01)
    await standing.check_known(ALICE.public_key)
    standing.check_allowed(caller(ALICE))
    await standing.stop()
