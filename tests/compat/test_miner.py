from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

import node.compat as bt
from node.errors import ConfigError
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve

NETUID = 8


class Shout(bt.StreamingSynapse):
    messages: list[str] = Field(...)
    completion: str = ""

    def deserialize(self) -> str:
        return self.completion

    async def process_streaming_response(self, response: Any) -> Any:
        async for chunk in response.content.iter_any():
            self.completion += chunk.decode()
            yield [chunk.decode()]

    def extract_response_json(self, response: Any) -> dict[str, Any]:
        return {"completion": self.completion}


def shout(synapse: Shout) -> bt.StreamingSynapse.BTStreamingResponse:
    async def stream(send: bt.Send) -> None:
        await send({"body": synapse.messages[0].upper().encode()})

    reply = synapse.create_streaming_response(stream)
    assert isinstance(reply, bt.StreamingSynapse.BTStreamingResponse)
    return reply


@pytest.fixture
def argv(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line as the tutorial has it."""
    bt.wallet(hotkey="miner").create_if_non_existent(False)
    arguments = [
        "miner.py", "--netuid", str(NETUID), "--wallet.name", "default", "--wallet.hotkey", "miner",
        "--subtensor.network", "local", "--axon.port", "0", "--axon.ip", "127.0.0.1",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", arguments)
    return arguments


def ask(miner: bt.Miner, dendrite: bt.Dendrite, synapse: Any) -> Any:
    return dendrite.query(miner.axon, synapse)


class Plain(bt.Miner):
    def forward(self, synapse: Shout) -> bt.StreamingSynapse.BTStreamingResponse:
        return shout(synapse)

    def blacklist(self, synapse: Shout) -> tuple[bool, str]:
        return False, ""


class Tutorial(bt.Miner):
    """As the tutorial's complete example: a config of no flags, and `prompt`."""

    def config(self) -> bt.Config:
        parser = argparse.ArgumentParser(description="Streaming Miner Configs")
        self.add_args(parser)
        return bt.config(parser)

    def add_args(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--mine.depth", type=int, default=2)

    def prompt(self, synapse: Shout) -> bt.StreamingSynapse.BTStreamingResponse:
        return shout(synapse)


@pytest.mark.parametrize("kind", [Plain, Tutorial])
@pytest.mark.usefixtures("argv")
def test_a_miner_serves_for_the_time_of_its_block(
    kind: type[bt.Miner], dendrite: bt.Dendrite, caller_key: bt.Keypair
) -> None:
    bt.subtensor("local").register(caller_key, NETUID)
    with kind() as miner:
        assert ask(miner, dendrite, Shout(messages=["hey"])) == "HEY"
        (_, listed) = bt.metagraph(NETUID).axons
        assert (listed.hotkey, listed.port) == (miner.axon.hotkey, miner.axon.port)
    assert ask(miner, dendrite, Shout(messages=["hey"])) == ""


def test_its_config_has_all_flags_and_may_be_written_to(argv: list[str]) -> None:
    argv += ["--mine.depth", "5", "--neuron.name", "deep"]
    config: Any = Tutorial().config
    assert isinstance(config, bt.Config)
    assert (config.netuid, config.mine.depth) == (NETUID, 5)
    assert (config.neuron.name, config["axon.port"]) == ("deep", 0)
    config.neuron.full_path = "/somewhere"
    assert config.neuron.full_path == "/somewhere"


def test_an_unknown_flag_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    argv += ["--mine.dept", "5"]
    with pytest.raises(SystemExit):
        Tutorial()
    assert "unknown flag --mine.dept; did you mean --mine.depth?" in capsys.readouterr().err


def test_a_config_of_either_make_can_be_given(argv: list[str], home: Path) -> None:
    given = bt.config(args=["--mine", "1"], parser=_parser("--mine"))
    given.blacklist = {"minimum_stake_requirement": 3.0}
    miner = Plain(given)
    assert (miner.config.mine, miner.config.netuid) == ("1", NETUID)
    native = resolve(build_parser("miner"), [*argv[1:], "--neuron.name", "native"], {})
    assert Plain(native).config.neuron.name == "native"


@pytest.mark.usefixtures("argv")
def test_a_port_that_is_taken_comes_out_of_the_block(axon: bt.Axon) -> None:
    axon.start()
    miner = Plain(bt.Config(default={"axon": {"port": axon.port}}, parser=_parser(), args=[]))
    with pytest.raises(ConfigError, match="already in use"), miner:
        raise AssertionError


def _parser(*flags: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    for flag in flags:
        parser.add_argument(flag)
    return parser
