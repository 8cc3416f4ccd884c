"""Processes and a Redis that are killed in the middle: nothing of what they knew is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from node import Metagraph, Wallet, open_network
from node.neuron.state import Event, StateReader
from tests.commands.programs import Running, running
from tests.redis_server import RedisServer

NETUID = 8
HOTKEYS = ("one", "two", "three")


class World:
    """Three miners and a validator as an operator starts them, on one network."""

    def __init__(self, home: Path, network: str) -> None:
        self.home = home
        self.network = network
        self.state = home / "state.db"
        for name in (*HOTKEYS, "judge"):
            Wallet("w", name, home / "wallets").create()

    def _flags(self, hotkey: str) -> list[str]:
        return [
            "--netuid", str(NETUID), "--wallet.name", "w", "--wallet.hotkey", hotkey,
            "--wallet.path", str(self.home / "wallets"), "--subtensor.network", self.network,
            "--subtensor.allow_private",
        ]  # fmt: skip

    def miner(self, hotkey: str) -> Running:
        argv = ["miner", *self._flags(hotkey), "--axon.ip", "127.0.0.1", "--axon.port", "0"]
        return self._start(argv)

    def validator(self) -> Running:
        argv = [
            "validator", *self._flags("judge"), "--neuron.state", str(self.state),
            "--neuron.step_interval", "0.2", "--neuron.timeout", "60",
            "--neuron.latency_full", "60", "--neuron.latency_zero", "120",
        ]  # fmt: skip
        return self._start(argv)

    def _start(self, argv: list[str]) -> Running:
        return self.stack.enter_context(running(self.home, *argv))

    @contextmanager
    def __call__(self) -> Iterator[World]:
        with ExitStack() as self.stack:
            yield self

    def hotkey(self, name: str) -> str:
        return Wallet("w", name, self.home / "wallets").hotkey.ss58_address

    def steps(self) -> list[int]:
        if not self.state.exists():
            return []
        return [step.step for step in StateReader(self.state).steps()]

    def events(self, hotkey: str, after: int = 0) -> list[Event]:
        events = StateReader(self.state).events(after + 1)
        return [event for event in events if event.hotkey == hotkey]

    def scores(self) -> dict[str, float]:
        return {row.hotkey: row.score for row in StateReader(self.state).scores()}

    def metagraph(self) -> Metagraph:
        with open_network(self.network, allow_private=True) as network:
            graph: Metagraph = network.metagraph(NETUID)
        return graph


def wait(what: Callable[[], bool], says: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, says
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["local", "redis"])
def test_a_kill_in_the_middle_loses_nothing(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    network = f"local:{tmp_path / 'net.db'}"
    if kind == "redis":
        network = request.getfixturevalue("redis_url")
    with World(tmp_path, network)() as world:
        miners = {name: world.miner(name) for name in HOTKEYS}
        for miner in miners.values():
            miner.wait_for("serves as")
        judge = world.validator()
        wait(lambda: len(world.steps()) >= 4, "the validator made no steps")

        # The validator.
        judge.process.send_signal(signal.SIGKILL)
        judge.wait()
        steps, scores = world.steps(), world.scores()
        assert set(scores) == {world.hotkey(name) for name in HOTKEYS}
        judge = world.validator()
        wait(lambda: len(world.steps()) >= len(steps) + 3, "it did not go on")
        assert world.steps() == list(range(1, len(world.steps()) + 1))
        # Honest miners' averages only rise, unless somebody began them anew.
        assert all(world.scores()[hotkey] > score for hotkey, score in scores.items())

        # A miner.
        lost = world.hotkey("two")
        uid = world.metagraph().uid_of(lost)
        miners["two"].process.send_signal(signal.SIGKILL)
        miners["two"].wait()
        died = world.steps()[-1]
        wait(
            lambda: any(event.reason == "unreachable" for event in world.events(lost, died)),
            "nobody noticed that the miner is gone",
        )
        miners["two"] = world.miner("two")
        back = world.steps()[-1]
        wait(
            lambda: any(event.reason == "ok" for event in world.events(lost, back)),
            "the miner that came back is not asked",
        )
        assert world.metagraph().uid_of(lost) == uid
        assert world.scores()[world.hotkey("one")] > scores[world.hotkey("one")]

        if kind == "redis":
            check_redis(world, request.getfixturevalue("redis_server"))
        judge.process.send_signal(signal.SIGTERM)
        assert judge.wait() == 0


def check_redis(world: World, server: RedisServer) -> None:
    before = world.metagraph()
    server.kill()
    steps = len(world.steps())
    wait(lambda: len(world.steps()) >= steps + 3, "the validator stopped with the registry")
    # Miners serve on the snapshot that they have.
    assert {event.reason for event in world.events(world.hotkey("one"), steps)} == {"ok"}
    server.start()
    after = world.metagraph()
    assert after.hotkeys == before.hotkeys
    assert [str(axon) for axon in after.axons] == [str(axon) for axon in before.axons]
