from __future__ import annotations

import argparse
import asyncio
import logging
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Miner, Wallet, open_network
from node.errors import ConfigError, NetworkError, NotRegistered, RouteError
from node.network.local import LocalNetwork
from node.neuron import neuron as neuron_module
from node.neuron.config import Config
from node.neuron.flags import add_flags, build_parser
from node.neuron.resolver import resolve
from protocols.prompting import Prompting, StreamPrompting

NETUID = 8
Make = Callable[..., Miner]


@pytest.fixture
def registry(tmp_path: Path) -> LocalNetwork:
    return LocalNetwork(tmp_path / "net.db")


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    Wallet("default", "default", tmp_path / "wallets").create()
    return [
        "--netuid", str(NETUID), "--wallet.path", str(tmp_path / "wallets"),
        "--subtensor.network", f"local:{tmp_path / 'net.db'}",
        "--axon.ip", "127.0.0.1", "--axon.port", "0",
    ]  # fmt: skip


@pytest.fixture
def make(argv: list[str]) -> Make:
    """Makes miners: `make(*more_flags, cls=Miner)`."""

    def make_miner(*more: str, cls: type[Miner] = Miner) -> Miner:
        return cls(resolve(build_parser("miner", prog="p"), [*argv, *more], {}))

    return make_miner


@pytest.fixture
def miner(make: Make, registry: LocalNetwork, alice: Keypair) -> Miner:
    """The default miner, on a network where Alice is registered."""
    registry.register(NETUID, alice)
    return make()


def question(*messages: str) -> StreamPrompting:
    return StreamPrompting(roles=["user"] * len(messages), messages=list(messages))


async def ask(dendrite: Dendrite, miner: Miner, synapse: Any) -> Any:
    return await dendrite.call(miner.axon.info(), synapse, deserialize=False)


# What it answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["Hello, big wide world of é日🚀!", "one", " ", "a\n\nb\n"])
async def test_the_prompt_comes_back_in_chunks_of_three_tokens(
    miner: Miner, dendrite: Dendrite, prompt: str
) -> None:
    async with miner:
        stream = await dendrite(miner.axon.info(), question(prompt), deserialize=False)
        *chunks, final = [item async for item in stream]
    assert "".join(chunks) == final.completion == prompt
    assert final.dendrite.status_code == 200
    if prompt.startswith("Hello"):
        assert chunks[0] == "Hello, big"


async def test_the_newest_message_is_the_prompt(miner: Miner, dendrite: Dendrite) -> None:
    async with miner:
        assert (await ask(dendrite, miner, question("old", "new"))).completion == "new"
        empty = await ask(dendrite, miner, question())
    assert (empty.completion, empty.is_success) == ("", True)


def test_chunk_size_and_pause_are_settings(make: Make) -> None:
    miner = make("--neuron.flush_every", "1", "--neuron.token_delay", "0.25")
    assert repr(miner.engine) == "EchoEngine(delay_s=0.25)"

    other = make("--neuron.flush_every", "1")

    async def chunks() -> list[str]:
        return [chunk async for chunk in other.answer(question("a b"))]

    assert asyncio.run(chunks()) == ["a", " b"]


# The network ------------------------------------------------------------------------------------


async def test_a_start_registers_and_publishes_and_says_so(
    miner: Miner, registry: LocalNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "node.neuron")
    async with miner:
        metagraph = await registry.metagraph(NETUID)
        assert miner.uid == 1
        assert metagraph.hotkeys[1] == miner.wallet.hotkey.ss58_address
        assert (metagraph.axons[1].ip, metagraph.axons[1].port) == ("127.0.0.1", miner.axon.port)
        (line,) = [record.getMessage() for record in caplog.records]
        assert f"uid 1 on netuid {NETUID}" in line
        assert str(miner.axon.info()) in line
    await registry.close()


def test_a_second_start_keeps_the_uid(make: Make) -> None:
    async def serve(miner: Miner) -> int | None:
        async with miner:
            return miner.uid

    assert [asyncio.run(serve(make())) for _ in range(2)] == [0, 0]


def test_a_network_where_a_uid_costs_something_registers_nobody(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Dear(LocalNetwork):
        async def register(self, netuid: int, wallet: Any) -> int:
            raise NotRegistered("pay first")

    dear = Dear(tmp_path / "dear.db")
    monkeypatch.setattr(neuron_module, "open_network", lambda *given: dear)
    with pytest.raises(NotRegistered, match="pay first"):
        asyncio.run(make().start())
    assert not (tmp_path / "dear.db").exists()


def test_an_endpoint_is_used_in_place_of_a_network(make: Make, tmp_path: Path) -> None:
    miner = make("--subtensor.chain_endpoint", f"local:{tmp_path / 'other.db'}")
    assert miner.network.name == f"local:{tmp_path / 'other.db'}"


async def test_it_publishes_again_what_the_network_lost(
    miner: Miner, registry: LocalNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neuron_module, "BLOCK_S", 0.0005)
    async with miner:
        for path in tmp_path.glob("net.db*"):
            path.unlink()
        async with asyncio.timeout(5):
            while not [axon for axon in (await registry.metagraph(NETUID)).axons if axon.port]:
                await asyncio.sleep(0.02)
        assert (await registry.metagraph(NETUID)).hotkeys == [miner.wallet.hotkey.ss58_address]
    await registry.close()


async def test_a_network_that_fails_later_is_a_warning_and_no_end(
    miner: Miner, dendrite: Dendrite, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    async def fail(netuid: int) -> Any:
        raise NetworkError("it is locked")

    monkeypatch.setattr(neuron_module, "BLOCK_S", 0.0005)
    async with miner:
        monkeypatch.setattr(miner.network, "metagraph", fail)
        async with asyncio.timeout(5):
            while "does not list this neuron: it is locked" not in caplog.text:
                await asyncio.sleep(0.02)
        assert (await ask(dendrite, miner, question("on"))).completion == "on"


# Failing starts ---------------------------------------------------------------------------------


def test_a_taken_port_changes_nothing(make: Make, registry: LocalNetwork) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        miner = make("--axon.port", str(taken.getsockname()[1]))
        with pytest.raises(ConfigError, match=r"already in use.*--axon\.port"):
            asyncio.run(miner.start())
    assert not registry.path.exists()
    with pytest.raises(NetworkError, match="closed"):
        miner.network.metagraph(NETUID)


def test_a_database_that_is_not_ours_is_left_alone(make: Make, registry: LocalNetwork) -> None:
    connection = sqlite3.connect(registry.path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = registry.path.read_bytes()
    miner = make()
    with pytest.raises(NetworkError, match=str(registry.path)):
        asyncio.run(miner.start())
    assert registry.path.read_bytes() == before
    assert miner.axon.port == 0


def test_a_start_that_fails_late_frees_the_port(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(netuid: int, wallet: Wallet) -> Any:
        raise NetworkError("the subnet is full")

    miner = make()
    monkeypatch.setattr(miner.network, "register", fail)
    with pytest.raises(NetworkError, match="full"):
        asyncio.run(miner.start())
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", miner.axon.port))


async def test_stopping_twice_or_before_a_start_is_fine(miner: Miner) -> None:
    await miner.stop()
    await miner.stop()


# Who may call -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "stake", "permit", "status"),
    [
        ([], None, None, 403),
        (["--blacklist.allow_non_registered"], None, None, 200),
        ([], 0.0, False, 200),
        (["--blacklist.force_validator_permit"], 0.0, False, 403),
        (["--blacklist.force_validator_permit"], 0.0, True, 200),
        (["--blacklist.minimum_stake_requirement", "10"], 9.5, False, 403),
        (["--blacklist.minimum_stake_requirement", "10"], 10.0, False, 200),
    ],
)
def test_the_blacklist_flags_hold(
    make: Make, registry: LocalNetwork, alice: Keypair,
    flags: list[str], stake: float | None, permit: bool | None, status: int,
) -> None:  # fmt: skip
    if stake is not None:
        registry.register(NETUID, alice)
        registry.set_stake(NETUID, alice.ss58_address, stake, permit)
    miner = make(*flags)

    async def run() -> Any:
        async with miner, Dendrite(alice) as dendrite:
            return await ask(dendrite, miner, question("hi"))

    reply = asyncio.run(run())
    assert reply.dendrite.status_code == status
    assert reply.completion == ("hi" if status == 200 else "")


def test_the_priority_of_a_caller_is_its_stake(
    miner: Miner, registry: LocalNetwork, alice: Keypair, bob: Keypair
) -> None:
    registry.set_stake(NETUID, alice.ss58_address, 12.5)

    def priority(caller: Keypair) -> float:
        synapse = question("x")
        synapse.dendrite.hotkey = caller.ss58_address
        return float(miner.priority(synapse))

    async def run() -> tuple[float, float]:
        async with miner:
            return priority(alice), priority(bob)

    assert priority(alice) == 0.0
    assert asyncio.run(run()) == (12.5, 0.0)


class Picky(Miner):
    """Has every hook."""

    def blacklist(self, synapse: StreamPrompting) -> tuple[bool, str]:
        return synapse.messages == ["bad"], "no bad words"

    async def verify(self, synapse: StreamPrompting) -> bool:
        return synapse.messages != ["unproved"]

    async def priority(self, synapse: StreamPrompting) -> float:
        self.seen = (synapse.messages, synapse.dendrite.hotkey)
        return 1.0


def test_hooks_of_a_subclass_are_asked(make: Make, alice: Keypair) -> None:
    miner = make("--blacklist.allow_non_registered", cls=Picky)

    async def run() -> list[Any]:
        async with miner, Dendrite(alice) as dendrite:
            return [
                await ask(dendrite, miner, question(word)) for word in ("bad", "unproved", "fine")
            ]

    replies = asyncio.run(run())
    assert [reply.dendrite.status_code for reply in replies] == [403, 401, 200]
    assert replies[0].dendrite.status_message == "no bad words"
    assert isinstance(miner, Picky)
    assert miner.seen == (["fine"], alice.ss58_address)


# Subclasses as v6 to v10 miners write them ------------------------------------------------------


class TutorialMiner(Miner):
    """Streams with a token streamer, and builds its parser itself."""

    def config(self) -> Config:
        parser = argparse.ArgumentParser(description="Streaming Miner Configs")
        self.add_args(parser)
        add_flags(parser, "miner")
        return resolve(parser)

    def add_args(cls, parser: argparse.ArgumentParser) -> None:  # noqa: N805 - as the tutorial
        parser.add_argument("--my.word", default="!")

    def forward(self, synapse: StreamPrompting) -> StreamPrompting:
        async def stream(send: Any) -> None:
            for token in [*synapse.messages, self.config["my.word"]]:  # type: ignore[index]
                body = {"type": "http.response.body", "body": token.encode(), "more_body": True}
                await send(body)

        return synapse.create_streaming_response(stream)  # type: ignore[return-value]


class ClassMethodMiner(Miner):
    """Answers another protocol, at once, and a second one beside it."""

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--my.word", default="?")
        parser.add_argument("--netuid", type=int, default=NETUID)

    def forward(self, synapse: Prompting) -> Prompting:
        synapse.completion = synapse.messages[0] + self.config.my.word
        return synapse

    async def shout(self, synapse: StreamPrompting) -> AsyncIterator[str]:
        yield synapse.messages[0].upper()

    def attach(self, axon: Axon) -> None:
        super().attach(axon)
        axon.attach(self.shout)


@pytest.fixture
def command_line(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """This process's command line is a miner's, with a flag of its own."""
    for name in ("BT_WALLET_NAME", "BT_WALLET_HOTKEY", "BT_WALLET_PATH"):
        monkeypatch.delenv(name, raising=False)
    line = ["m.py", *argv, "--my.word", "?!", "--blacklist.allow_non_registered"]
    monkeypatch.setattr("sys.argv", line)
    return line


def test_the_miner_of_the_tutorial_runs(command_line: list[str], alice: Keypair) -> None:
    miner = TutorialMiner()

    async def run() -> Any:
        async with miner, Dendrite(alice) as dendrite:
            return await ask(dendrite, miner, question("hello"))

    assert asyncio.run(run()).completion == "hello?!"
    assert miner.config.source("my.word") == "flag"  # type: ignore[attr-defined]


def test_a_miner_may_have_another_forward_and_more(command_line: list[str], alice: Keypair) -> None:
    miner = ClassMethodMiner()

    async def run() -> tuple[Any, Any]:
        async with miner, Dendrite(alice) as dendrite:
            unary = await ask(dendrite, miner, Prompting(roles=["user"], messages=["a"]))
            return unary, await ask(dendrite, miner, question("b"))

    unary, streamed = asyncio.run(run())
    assert (unary.completion, streamed.completion) == ("a?!", "B")


def test_a_misspelt_flag_ends_the_script(
    command_line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command_line.append("--my.wrod=x")
    with pytest.raises(SystemExit) as caught:
        TutorialMiner()
    assert caught.value.code == 2
    assert "unknown flag --my.wrod; did you mean --my.word?" in capsys.readouterr().err


def test_launch_tells_errors_in_one_line(
    command_line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command_line += ["--wallet.hotkey", "nobody"]
    assert TutorialMiner.launch() == 2
    error = capsys.readouterr().err
    assert error.startswith("m.py: wallet 'default' has no hotkey 'nobody'")
    assert error.count("\n") == 1


def test_a_config_without_the_miners_flags_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(Miner):
        """Forgets the miner's flags."""

        def config(self) -> Config:
            return resolve(argparse.ArgumentParser(prog="p"), [], {})

    with pytest.raises(ConfigError, match=r"config\(\) returned no netuid; .*add_flags"):
        Bare()


def test_a_wrong_annotation_is_told_before_anything_is_opened(make: Make) -> None:
    class Wrong(Miner):
        """Has no synapse."""

        def forward(self, synapse: int) -> int:
            return synapse

    with pytest.raises(RouteError, match=r"Wrong\.forward"):
        make(cls=Wrong)


def test_the_settings_reach_the_axon(make: Make, bob: Keypair) -> None:
    miner = make(
        "--axon.external_ip", "203.0.113.7", "--axon.external_port", "99",
        "--axon.grace_s", "1.5", "--axon.protocols", "btauth",
    )  # fmt: skip
    info = miner.axon.info()
    assert (info.ip, info.port, info.protocols) == ("203.0.113.7", 99, ("btauth",))
    assert miner.axon.grace_s == 1.5


def test_max_workers_queue_and_body_reach_the_axon(make: Make, alice: Keypair) -> None:
    flags = ["--blacklist.allow_non_registered", "--axon.max_body_bytes", "100"]
    flags += ["--axon.max_workers", "1", "--axon.max_queue", "0", "--neuron.token_delay", "0.1"]
    miner = make(*flags)

    async def run() -> list[int]:
        async with miner, Dendrite(alice) as dendrite:
            large = await ask(dendrite, miner, question("x" * 200))
            first = await dendrite(miner.axon.info(), question("a b c d"), deserialize=False)
            chunks = first.chunks()
            await anext(chunks)
            # A peer that declares no capacity, so that the second request goes out at all.
            peer = replace(miner.axon.info(), capacity=())
            second = await dendrite.call(peer, question("e"), deserialize=False)
            await first.aclose()
            await chunks.aclose()
            return [large.dendrite.status_code, second.dendrite.status_code]

    assert asyncio.run(run()) == [413, 503]


def test_opening_needs_no_network(make: Make, registry: LocalNetwork) -> None:
    make()
    assert not registry.path.exists()
    assert open_network("local").name == "local"
