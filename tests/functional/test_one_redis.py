"""Two validators and twenty miners on one Redis: they all see the same network, and its changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from node import Metagraph, Miner, Validator, Wallet
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve

NETUID = 8
MINERS = 20


def made(cls: Callable[..., Any], kind: str, flags: list[str]) -> Any:
    """A neuron; making one reads files, so it is made in a thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: cls(resolve(build_parser(kind, prog="p"), flags, {}))).result()


def facts(metagraph: Metagraph) -> list[Any]:
    """What a metagraph says, without the block, which is the time."""
    return [
        metagraph.hotkeys, [str(axon) for axon in metagraph.axons], metagraph.stake,
        [axon.capacity for axon in metagraph.axons], metagraph.validator_permit,
        [metagraph.weights(uid) for uid in metagraph.uids], metagraph.incentive,
    ]  # fmt: skip


@pytest.fixture
def wallets(tmp_path: Path) -> Path:
    for name in [*(f"m{number}" for number in range(MINERS)), "v0", "v1"]:
        Wallet("w", name, tmp_path / "wallets").create()
    return tmp_path / "wallets"


async def test_two_validators_and_twenty_miners_agree(
    tmp_path: Path, wallets: Path, redis_url: str
) -> None:
    def flags(hotkey: str) -> list[str]:
        return [
            "--netuid", str(NETUID), "--wallet.name", "w", "--wallet.hotkey", hotkey,
            "--wallet.path", str(wallets), "--subtensor.network", redis_url,
            "--subtensor.allow_private", "--axon.ip", "127.0.0.1", "--axon.port", "0",
        ]  # fmt: skip

    def validator(name: str) -> Any:
        return made(
            Validator, "validator",
            [*flags(name), "--neuron.state", str(tmp_path / f"{name}.db"),
             "--neuron.step_interval", "0", "--neuron.timeout", "60",
             "--neuron.latency_full", "60", "--neuron.latency_zero", "120"],
        )  # fmt: skip

    async with AsyncExitStack() as stack:
        # All at once: twenty registrations race for the lowest free uids.
        miners: list[Miner] = [made(Miner, "miner", flags(f"m{n}")) for n in range(MINERS)]
        await asyncio.gather(*(stack.enter_async_context(miner) for miner in miners))
        assert sorted(miner.uid for miner in miners if miner.uid is not None) == list(range(MINERS))
        judges = [await stack.enter_async_context(validator(name)) for name in ("v0", "v1")]
        steps = await asyncio.gather(*(judge.step() for judge in judges))
        assert [step.answered for step in steps] == [MINERS, MINERS]
        assert {event.reason for step in steps for event in step.events} == {"ok"}
        await asyncio.gather(*(judge.set_weights() for judge in judges))
        # Each of the miners' axons reads the network by itself as well.
        for judge in judges:
            await judge.metagraph.sync()
        seen = [facts(judge.metagraph) for judge in judges]
        assert seen[0] == seen[1]
        assert len(seen[0][0]) == MINERS + 2
        assert all(sum(row) > 0.99 for row in seen[0][5][MINERS:])
        # A change reaches the miners' axons without anybody asking for it.
        deadline = time.monotonic() + 10
        while any(facts(axon_graph(miner)) != seen[0] for miner in miners):
            assert time.monotonic() < deadline, "an axon does not see what the validators see"
            await asyncio.sleep(0.05)


def axon_graph(miner: Miner) -> Metagraph:
    metagraph = miner.axon.metagraph
    assert metagraph is not None
    return metagraph
