"""The validator against real axons on loopback: what it scores, remembers and tells the network."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from node import Axon, Keypair, Reply, Synapse, Validator, Verdict, Wallet
from node.errors import NetworkError, NotRegistered, StateError
from node.network import Hyperparameters
from node.network.local import BLOCK_NS, LocalNetwork
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve
from node.neuron.scoring import Reason
from node.neuron.state import StateReader
from protocols.prompting import StreamPrompting

NETUID = 8
Make = Callable[..., Any]


class Chain(LocalNetwork):
    """The local network with a clock that the test moves, and an outage that it can make."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.now_ns = time.time_ns()
        self.is_down = False
        super().__init__(path, clock=self._tell, **options)

    def _tell(self) -> int:
        if self.is_down:
            raise NetworkError("the network is down")
        return self.now_ns

    async def close(self) -> None:
        """Stays open: validators close their network, and the test goes on with it."""

    def pass_blocks(self, count: int) -> None:
        self.now_ns += count * BLOCK_NS


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Chain]:
    chain = Chain(tmp_path / "net.db")
    yield chain
    LocalNetwork.close(chain)


@pytest.fixture
def wallet(tmp_path: Path) -> Wallet:
    return Wallet("default", "default", tmp_path / "wallets").create()


@pytest.fixture
def make(tmp_path: Path, wallet: Wallet, registry: Chain) -> Make:
    """Makes validators: `make(*more_flags, cls=Validator)`."""
    argv = [
        "--netuid", str(NETUID), "--wallet.path", str(tmp_path / "wallets"),
        "--subtensor.network", f"local:{tmp_path / 'net.db'}",
        "--neuron.state", str(tmp_path / "state.db"), "--neuron.step_interval", "0",
        # However slow the machine is, an answer comes in time, and gets full credit.
        "--neuron.timeout", "60", "--neuron.latency_full", "60", "--neuron.latency_zero", "120",
    ]  # fmt: skip

    def make_validator(*more: str, cls: type[Validator] = Validator) -> Validator:
        def build() -> Validator:
            return cls(resolve(build_parser("validator", prog="p"), [*argv, *more], {}))

        # It reads files, which blocks; programs make it before their loop runs, tests inside one.
        with ThreadPoolExecutor(1) as thread:
            validator = thread.submit(build).result()
        validator.network = registry
        return validator

    return make_validator


async def echo(synapse: StreamPrompting) -> AsyncIterator[str]:
    yield synapse.messages[0][:5]
    await asyncio.sleep(0)
    yield synapse.messages[0][5:]


async def wrong(synapse: StreamPrompting) -> AsyncIterator[str]:
    yield "something else"


async def silent(synapse: StreamPrompting) -> AsyncIterator[str]:
    for nothing in list[str]():
        yield nothing


async def late(synapse: StreamPrompting) -> AsyncIterator[str]:
    await asyncio.sleep(0.3)
    yield synapse.messages[0]


async def crashing(synapse: StreamPrompting) -> AsyncIterator[str]:
    yield synapse.messages[0][:5]
    raise RuntimeError("no more")


async def endless(synapse: StreamPrompting) -> AsyncIterator[str]:
    while True:
        yield "x" * 65536
        await asyncio.sleep(0)


@asynccontextmanager
async def miners(
    registry: LocalNetwork, *forwards: Any, **options: Any
) -> AsyncIterator[list[Axon]]:
    """Serve an axon for each forward, registered as //0, //1 and so on; for None a dead one."""
    async with AsyncExitStack() as stack:
        axons = []
        for number, forward in enumerate(forwards):
            keypair = Keypair.from_uri(f"//{number}")
            axon = Axon(keypair, ip="127.0.0.1", port=0, **options)
            axon.attach(forward or echo)
            await stack.enter_async_context(axon)
            if forward is None:
                await axon.stop()
            await registry.register(NETUID, keypair)
            await registry.serve(NETUID, keypair, axon.info())
            axons.append(axon)
        yield axons


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str], Awaitable[list[Any]]]:
    """Reads the state as `ganglion scores` does: `await saved("steps")`."""

    def read(what: str) -> list[Any]:
        return list(getattr(StateReader(tmp_path / "state.db"), what)())

    return lambda what: asyncio.to_thread(read, what)


def reasons(step: Any) -> dict[int, str]:
    return {event.uid: event.reason for event in step.events}


# What replies are worth ---------------------------------------------------------------------------


async def test_each_kind_of_reply_gets_its_reward_and_its_reason(
    make: Make, registry: Chain
) -> None:
    limits = ["--neuron.max_reply_bytes", "200000"]
    async with (
        miners(registry, echo, wrong, silent, crashing, endless, None),
        make(*limits) as validator,
    ):
        step = await validator.step()
    assert reasons(step) == {
        0: "ok", 1: "wrong_answer", 2: "empty", 3: "failed", 4: "too_long", 5: "unreachable",
    }  # fmt: skip
    by_uid = {event.uid: event for event in step.events}
    assert by_uid[0].reward == 1.0
    assert all(event.reward == 0 for uid, event in by_uid.items() if uid)
    assert by_uid[4].bytes < 2_000_000
    assert (by_uid[0].status, by_uid[5].status) == (200, 503)
    assert step.answered == 3


async def test_a_right_answer_that_comes_too_late_is_worth_nothing(
    make: Make, registry: Chain
) -> None:
    flags = ["--neuron.latency_full", "0.1", "--neuron.latency_zero", "0.2"]
    async with miners(registry, late), make(*flags) as validator:
        step = await validator.step()
    assert [(event.reason, event.reward) for event in step.events] == [("too_slow", 0.0)]
    assert step.answered == 1


async def test_the_latency_curve_is_between_its_two_ends(make: Make, registry: Chain) -> None:
    flags = ["--neuron.latency_full", "0.1", "--neuron.latency_zero", "50.1"]
    async with miners(registry, late), make(*flags) as validator:
        step = await validator.step()
    (event,) = step.events
    assert event.first_byte_s is not None
    assert event.first_byte_s > 0.3
    assert event.reward == pytest.approx((50.1 - event.first_byte_s) / 50.0)


async def test_a_reply_that_nobody_signed_is_worth_nothing_unless_allowed(
    make: Make, registry: Chain
) -> None:
    async with miners(registry, echo, receipts=False):
        async with make() as strict:
            assert reasons(await strict.step()) == {0: "no_receipt"}
        async with make("--neuron.allow_unsigned_replies") as lenient:
            assert reasons(await lenient.step()) == {0: "ok"}


class Number(Synapse):
    """A unary question."""

    value: float
    doubled: float = 0.0


class Custom(Validator):
    """Asks for a number; what it judges by is set by the test."""

    verdict: Any = 1.0

    async def forward(self) -> None:
        await self.ask(Number(value=2.0), wanted=4.0)

    def reward(self, reply: Reply, wanted: float) -> Any:
        assert reply.synapse.doubled == wanted
        assert reply.receipt is not None
        return self.verdict(reply) if callable(self.verdict) else self.verdict


def double(synapse: Number) -> Number:
    synapse.doubled = 2 * synapse.value
    return synapse


def fail(reply: Reply) -> None:
    raise KeyError(reply.uid)


async def gentle(reply: Reply) -> float:
    await asyncio.sleep(0)
    return 0.5


@pytest.mark.parametrize(
    ("verdict", "reward", "reason"),
    [
        (0.25, 0.25, "ok"),
        (1, 1.0, "ok"),
        (0, 0.0, "wrong_answer"),
        ((0.0, "rude"), 0.0, "rude"),
        ((0.5, "Not A Word"), 0.5, "ok"),
        (Verdict(0.75), 0.75, "ok"),
        (Verdict(0.0, Reason.TOKEN_COUNT), 0.0, "token_count"),
        (gentle, 0.5, "ok"),
        (math.nan, 0.0, "not_finite"),
        (math.inf, 0.0, "not_finite"),
        (None, 0.0, "not_finite"),
        ("1", 0.0, "not_finite"),
        (True, 0.0, "not_finite"),
        (-0.1, 0.0, "out_of_range"),
        (1.1, 0.0, "out_of_range"),
        (10**400, 0.0, "not_finite"),
        (fail, 0.0, "reward_error"),
        (lambda reply: time.sleep(0.5), 0.0, "reward_timeout"),
    ],
)
async def test_whatever_a_reward_function_does_the_step_ends_with_a_number(
    make: Make, registry: Chain, verdict: Any, reward: float, reason: str
) -> None:
    limit = "0.2" if reason == "reward_timeout" else "60"
    async with (
        miners(registry, double),
        make("--neuron.reward_timeout", limit, cls=Custom) as validator,
    ):
        validator.verdict = verdict
        step = await validator.step()
    assert [(event.reward, event.reason) for event in step.events] == [(reward, reason)]
    assert validator.scores.score_of(step.events[0].hotkey) == pytest.approx(reward * 0.1)


async def test_a_sync_reward_may_be_slow_and_the_loop_goes_on(make: Make, registry: Chain) -> None:
    enough = threading.Event()

    async def tick() -> None:
        for _ in range(6):
            await asyncio.sleep(0.01)
        enough.set()

    limits = ["--neuron.reward_timeout", "60"]
    async with miners(registry, double), make(*limits, cls=Custom) as validator:
        # It ends once the loop has gone on, and in vain where the loop stands still.
        validator.verdict = lambda reply: float(enough.wait(10))
        ticking = asyncio.create_task(tick())
        step = await validator.step()
        await ticking
    assert [event.reward for event in step.events] == [1.0]


# What can't stop a step ---------------------------------------------------------------------------


async def test_nobody_answering_is_a_logged_step(
    make: Make, registry: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    async with make() as validator:
        with caplog.at_level(logging.INFO, "node.neuron.validator"):
            alone = await validator.step()
            async with miners(registry, None, None):
                await validator.metagraph.sync()
                dead = await validator.step()
    assert (alone.asked, alone.notes) == (0, ["nobody to ask"])
    assert (dead.asked, dead.answered, dead.notes) == (2, 0, ["nobody answered"])
    assert "step 2: 0 of 2 answered; nobody answered" in caplog.text


async def test_a_forward_that_fails_or_hangs_is_noted_and_the_next_one_runs(
    make: Make, registry: Chain, skip_ahead: Callable[[float], None]
) -> None:
    class Careless(Validator):
        calls = 0

        async def forward(self) -> None:
            self.calls += 1
            if self.calls == 1:
                raise ZeroDivisionError
            if self.calls == 2:
                skip_ahead(61.0)
                await asyncio.Event().wait()
            await super().forward()

    async with (
        miners(registry, echo),
        make("--neuron.step_timeout", "60", cls=Careless) as validator,
    ):
        notes = [(await validator.step()).notes for _ in range(3)]
    assert notes == [["forward failed (ZeroDivisionError)"], ["forward took too long"], []]


async def test_ask_counts_only_in_a_step(make: Make) -> None:
    async with make() as validator:
        with pytest.raises(RuntimeError, match="forward"):
            await validator.ask(Number(value=1.0))


async def test_the_steps_go_on_while_the_network_is_down(make: Make, registry: Chain) -> None:
    async with miners(registry, echo), make("--neuron.epoch_length", "1") as validator:
        await validator.step()
        registry.pass_blocks(5)
        await validator.metagraph.sync()
        registry.is_down = True
        step = await validator.step()
        assert step.notes == ["metagraph not read", "weights not set"]
        assert reasons(step) == {0: "ok"}
        registry.is_down = False
        assert (await validator.step()).notes == []
        assert validator.metagraph.weights(1) == [0.0, 0.0]
        await validator.metagraph.sync()
        assert validator.metagraph.weights(1) == [1.0, 0.0]


# What it remembers --------------------------------------------------------------------------------


async def test_it_goes_on_where_it_was(make: Make, registry: Chain, saved: Any) -> None:
    async with miners(registry, echo):
        async with make() as first:
            await first.step()
            await first.step()
            scores = first.scores.as_dict()
        async with make() as second:
            assert (second.steps, second.scores.as_dict()) == (2, scores)
            await second.step()
    assert [step.step for step in await saved("steps")] == [1, 2, 3]
    assert [event.step for event in await saved("events")] == [1, 2, 3]


async def test_a_uid_that_changes_hands_starts_fresh(make: Make, registry: Chain) -> None:
    async with make() as validator:
        async with miners(registry, echo):
            await validator.metagraph.sync()
            for _ in range(3):
                await validator.step()
            old = validator.metagraph.hotkeys[1]
        assert validator.scores.score_of(old) > 0.2
        with closing(await asyncio.to_thread(connect, registry.path)) as connection:
            await asyncio.to_thread(hand_over, connection, Keypair.from_uri("//new"))
        await registry.register(NETUID, Keypair.from_uri("//new"))
        await validator.metagraph.sync()
        assert validator.metagraph.uid_of(Keypair.from_uri("//new").ss58_address) == 1
        assert validator.scores.for_hotkeys(validator.metagraph.hotkeys)[1] == 0.0


def connect(path: Path) -> Any:
    import sqlite3

    return sqlite3.connect(path, check_same_thread=False, isolation_level=None)


def hand_over(connection: Any, to: Keypair) -> None:
    connection.execute("UPDATE neurons SET public_key = ? WHERE uid = 1", (to.public_key,))


async def test_who_went_away_loses_its_score(make: Make, registry: Chain) -> None:
    async with make("--neuron.moving_average_alpha", "0.5") as validator:  # noqa: SIM117
        async with miners(registry, echo, echo) as axons:
            await validator.metagraph.sync()
            await validator.step()
            gone, stays = axons[0].hotkey, axons[1].hotkey
            before = validator.scores.score_of(gone)
            nowhere = axons[0].info()
            nowhere = type(nowhere)(nowhere.hotkey, nowhere.ip, 0)
            await registry.serve(NETUID, Keypair.from_uri("//0"), nowhere)
            step = await validator.step()
    assert reasons(step)[1] == "not_serving"
    assert validator.scores.score_of(gone) == before / 2
    assert validator.scores.score_of(stays) > before


async def test_a_state_that_is_another_validators_is_refused(
    make: Make, tmp_path: Path, registry: Chain
) -> None:
    async with make():
        pass
    await asyncio.to_thread(Wallet("default", "other", tmp_path / "wallets").create)
    with pytest.raises(StateError, match=str(tmp_path / "state.db")):
        await make("--wallet.hotkey", "other").start()


async def test_two_validators_do_not_share_one_state(make: Make, registry: Chain) -> None:
    async with make() as first:
        second = make()
        with pytest.raises(StateError, match="in use"):
            await second.start()
        assert (await first.step()).step == 1


# What it tells the network ------------------------------------------------------------------------


async def test_weights_are_set_every_epoch_and_no_sooner(make: Make, registry: Chain) -> None:
    async with miners(registry, echo, wrong), make("--neuron.epoch_length", "5") as validator:
        assert validator.uid == 2
        await validator.step()
        assert validator.metagraph.weights(2) == [0, 0, 0]
        registry.pass_blocks(5)
        await validator.step()
        assert (await registry.metagraph(NETUID)).weights(2) == [1.0, 0, 0]
        block = validator.metagraph.block
        registry.pass_blocks(4)
        await validator.step()
        assert (await registry.metagraph(NETUID)).last_update[2] == block
        registry.pass_blocks(1)
        await validator.step()
        assert (await registry.metagraph(NETUID)).last_update[2] == block + 5


async def test_the_networks_rate_limit_is_longer_than_the_epoch(make: Make, tmp_path: Path) -> None:
    rules = Hyperparameters(weights_rate_limit=20)
    limited = Chain(tmp_path / "net.db", hyperparameters=rules)
    async with limited, miners(limited, echo):
        validator = make("--neuron.epoch_length", "5")
        validator.network = limited
        async with validator:
            limited.pass_blocks(19)
            await validator.step()
            assert (await limited.metagraph(NETUID)).weights(1) == [0, 0]
            limited.pass_blocks(1)
            await validator.step()
            assert (await limited.metagraph(NETUID)).weights(1) == [1, 0]


async def test_without_a_score_there_is_nothing_to_say(make: Make, registry: Chain) -> None:
    async with miners(registry, wrong), make("--neuron.epoch_length", "1") as validator:
        registry.pass_blocks(2)
        step = await validator.step()
    assert step.notes == ["no scores to set weights by"]


async def test_weights_can_be_switched_off(make: Make, registry: Chain) -> None:
    flags = ["--neuron.epoch_length", "1", "--neuron.disable_set_weights"]
    async with miners(registry, echo), make(*flags) as validator:
        registry.pass_blocks(2)
        await validator.step()
        assert (await registry.metagraph(NETUID)).weights(1) == [0, 0]


# Its life -----------------------------------------------------------------------------------------


async def test_it_ends_after_so_many_steps(make: Make, registry: Chain) -> None:
    validator = make("--neuron.steps", "2")
    async with validator:
        await validator.serve_until(asyncio.Event())
    assert validator.steps == 2


async def test_a_stop_ends_the_step_under_way_and_keeps_those_before(
    make: Make, registry: Chain, saved: Any
) -> None:
    class Stuck(Validator):
        async def forward(self) -> None:
            if self.steps:
                stopping.set()
                await asyncio.sleep(60)
            await super().forward()

    stopping = asyncio.Event()
    async with miners(registry, echo), make(cls=Stuck) as validator:
        await asyncio.wait_for(validator.serve_until(stopping), 20)
    assert [step.step for step in await saved("steps")] == [1]


async def test_a_network_that_gives_no_uid_for_the_asking_says_so(
    make: Make, registry: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def register(netuid: int, wallet: Wallet) -> int:
        raise NotRegistered("pay first")

    validator = make()
    monkeypatch.setattr(registry, "register", register)
    with pytest.raises(NotRegistered, match="pay first"):
        await validator.start()


async def test_an_axon_is_started_only_for_forwards_of_its_own(make: Make, registry: Chain) -> None:
    class Serving(Validator):
        def attach(self, axon: Axon) -> None:
            axon.attach(echo)

    flags = ["--axon.ip", "127.0.0.1", "--axon.port", "0"]
    async with make(*flags):
        assert not (await registry.metagraph(NETUID)).axons[0].is_serving
    async with make(*flags, "--neuron.axon_off", cls=Serving):
        assert not (await registry.metagraph(NETUID)).axons[0].is_serving
    async with make(*flags, cls=Serving):
        assert (await registry.metagraph(NETUID)).axons[0].is_serving


async def test_several_forwards_of_one_step_count_once_in_the_average(
    make: Make, registry: Chain
) -> None:
    flags = ["--neuron.num_concurrent_forwards", "3", "--neuron.moving_average_alpha", "0.5"]
    async with miners(registry, echo), make(*flags) as validator:
        step = await validator.step()
        assert (step.asked, step.answered, len(step.events)) == (3, 3, 3)
        assert validator.scores.score_of(step.events[0].hotkey) == pytest.approx(0.5)
