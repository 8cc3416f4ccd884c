from __future__ import annotations

import argparse
import copy
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import node.compat as bt
from node.compat.argv import split
from node.compat.settings import add_group, setting
from node.errors import ConfigError
from node.neuron import config as native


def parser_with_everything() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="miner.py")
    parser.add_argument("--netuid", type=int, default=1)
    parser.add_argument("--neuron.name", type=str, default="miner")
    bt.wallet.add_args(parser)
    bt.subtensor.add_args(parser)
    bt.axon.add_args(parser)
    bt.logging.add_args(parser)
    return parser


@pytest.fixture
def argv(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of the process, to be filled by the test."""
    arguments = ["miner.py"]
    monkeypatch.setattr(sys, "argv", arguments)
    return arguments


def test_flags_of_the_user_and_of_the_library_come_from_the_command_line(argv: list[str]) -> None:
    argv += ["--netuid", "8", "--wallet.name", "cold", "--axon.port", "10000", "--logging.trace"]
    argv += ["--subtensor.network=local"]
    config = bt.config(parser_with_everything())
    assert (config.netuid, config.wallet.name, config.wallet.hotkey) == (8, "cold", "default")
    assert (config.axon.port, config.logging.trace) == (10000, True)
    assert (config.logging.debug, config.subtensor.network) == (False, "local")
    assert isinstance(config, bt.Config)


def test_the_environment_and_a_profile_count_too(
    argv: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "miner.yaml").write_text("axon: {port: 7000, max_workers: 3}\nneuron: {name: deep}\n")
    monkeypatch.setenv("BT_WALLET_NAME", "mine")
    monkeypatch.setenv("GANGLION_AXON_PORT", "7001")
    argv += ["--config", str(home / "miner.yaml")]
    config = bt.config(parser_with_everything())
    assert (config.wallet.name, config.axon.port, config.axon.max_workers) == ("mine", 7001, 3)
    assert config.neuron.name == "deep"


def test_without_a_parser_it_is_the_defaults_and_the_command_line_is_not_read(
    argv: list[str],
) -> None:
    argv += ["--axon.port", "1", "--nonsense"]
    config = bt.config()
    assert (config.axon.port, config.wallet.path) == (8091, "~/.bittensor/wallets")
    assert (config.subtensor.network, config.logging.trace) == ("local", False)


def test_attributes_and_items_can_be_set() -> None:
    config = bt.config(parser_with_everything())
    config.neuron.full_path = "/somewhere"
    config.full_path = "/else"
    config["axon"]["port"] = 5
    assert (config.neuron.full_path, config.full_path, config.axon.port) == (
        "/somewhere", "/else", 5,
    )  # fmt: skip
    assert (config["neuron.full_path"], config["axon.port"]) == ("/somewhere", 5)
    del config.full_path
    assert config.full_path is None
    with pytest.raises(AttributeError):
        del config.full_path


def test_what_nobody_set_is_none_as_an_attribute_and_a_key_error_as_an_item() -> None:
    config = bt.config(parser_with_everything())
    assert config.mock is None
    assert config.wallet._mock is None
    assert config.wallet.get("nothing", "else") == "else"
    assert config.get("axon.nothing") is None
    assert not hasattr(config, "__array__")
    for name in ("nothing", "axon.nothing", "nothing.at.all"):
        assert name not in config
        with pytest.raises(KeyError):
            config[name]


@pytest.mark.parametrize("name", ["netuid", "axon.port", "axon"])
def test_dotted_names_are_items_too(name: str) -> None:
    config = bt.config(parser_with_everything())
    assert name in config
    assert config.get(name) == config[name]


def test_is_set_tells_what_was_given(argv: list[str]) -> None:
    argv += ["--axon.port", "8091"]
    config = bt.config(parser_with_everything())
    assert config.is_set("axon.port")
    assert not config.is_set("wallet.name")
    assert copy.deepcopy(config).is_set("axon.port")


def test_merging_takes_the_other_ones_values_and_shares_nothing(argv: list[str]) -> None:
    argv += ["--netuid", "8"]
    config, other = bt.config(), bt.config(parser_with_everything())
    other.neuron.names = ["a"]
    config.axon.extra = 1
    config.merge(other)
    other.neuron.names.append("b")
    assert (config.netuid, config.neuron.names, config.axon.extra) == (8, ["a"], 1)
    assert config.is_set("netuid")


def test_copies_are_of_their_own() -> None:
    config = bt.config(parser_with_everything())
    for clone in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        clone.axon.port = 1
        assert isinstance(clone.axon, bt.Config)
        assert config.axon.port == 8091
        assert {**clone, "axon": config.axon} == config
    shallow = copy.copy(config)
    shallow.netuid = 9
    assert config.netuid == 1


def test_it_is_a_dict_of_plain_values() -> None:
    config = bt.config(parser_with_everything())
    assert json.loads(json.dumps(config))["axon"]["port"] == 8091
    assert config.to_dict() == config.toDict() == config
    assert type(config.to_dict()["axon"]) is dict


def test_its_text_is_yaml_without_secrets() -> None:
    config = bt.config(parser_with_everything())
    config.openai = bt.Config(default={"api_key": "sk-123"})
    config.openai.password = "hidden too"
    shown = f"{config}"
    assert "axon.port: 8091" in shown
    assert "sk-123" not in shown
    assert "hidden too" not in shown
    assert "8091" not in repr(config)


def test_values_beside_the_parsers_can_be_given() -> None:
    config = bt.config(default={"mine": {"deep": 1}, "axon": {"port": 1}})
    assert (config.mine.deep, config.axon.port) == (1, 8091)


def test_it_becomes_the_librarys_own_and_comes_from_it() -> None:
    config = bt.config(parser_with_everything())
    config.axon.port = 7
    resolved = config.native()
    assert isinstance(resolved, native.Config)
    assert resolved["axon.port"] == resolved.axon.port == 7
    assert bt.Config.of(resolved) == config


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flag", ["--axon.prot", "--wallet.nam=x", "--logging.tracee", "--subtensor.chain_endpont"]
)
def test_a_misspelt_flag_of_the_library_is_refused_at_once(
    argv: list[str], flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv += [flag, "1"]
    with pytest.raises(SystemExit) as exited:
        bt.config(parser_with_everything())
    assert exited.value.code == 2
    assert f"unknown flag {flag.partition('=')[0]}; did you mean --" in capsys.readouterr().err


USES: dict[str, Callable[[], object]] = {
    "wallet": bt.wallet,
    "axon": lambda: bt.axon(bt.Keypair.create_from_uri("//Bob"), port=0),
    "dendrite": lambda: bt.dendrite(bt.Keypair.create_from_uri("//Bob")),
    "subtensor": lambda: bt.subtensor("local"),
    "metagraph": lambda: bt.metagraph(8),
    "logging": lambda: bt.logging.set_config(bt.config()),
}


@pytest.mark.parametrize("use", USES)
def test_any_other_unknown_flag_is_refused_when_the_settings_are_used(
    argv: list[str], use: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv += ["--neuron.nme", "x", "--netuid", "3"]
    config = bt.config(parser_with_everything())
    assert config.netuid == 3
    with pytest.raises(SystemExit) as exited:
        USES[use]()
    assert exited.value.code == 2
    told = capsys.readouterr().err
    assert told == "miner.py: unknown flag --neuron.nme; did you mean --neuron.name?\n"


@pytest.mark.parametrize("strict", [True, False])
def test_strict_refuses_it_here_and_now(argv: list[str], strict: bool) -> None:
    argv += ["--neuron.nme", "x", *([] if strict else ["--strict"])]
    with pytest.raises(SystemExit) as exited:
        bt.config(parser_with_everything(), strict=strict)
    assert exited.value.code == 2


def test_two_parsers_may_share_a_command_line(argv: list[str]) -> None:
    argv += ["--netuid", "8", "--mine.depth", "-3", "--mine.on", "--axon.port", "9"]
    base = bt.config(parser_with_everything())
    own = argparse.ArgumentParser()
    own.add_argument("--mine.depth", type=int, default=0)
    own.add_argument("--mine.on", action="store_true")
    config = bt.config(own)
    config.merge(base)
    assert (config.netuid, config.mine.depth, config.mine.on, config.axon.port) == (8, -3, True, 9)
    bt.wallet()


def test_a_flag_is_refused_once_and_then_forgotten(argv: list[str]) -> None:
    argv += ["--nonsense"]
    bt.config(parser_with_everything())
    with pytest.raises(SystemExit):
        bt.wallet()
    bt.wallet()


@pytest.mark.parametrize(
    ("arguments", "mine", "others"),
    [
        (["--a", "1", "--b", "2"], ["--a", "1"], ["--b"]),
        (["--b", "2", "x", "--a", "1"], ["--a", "1"], ["--b"]),
        (["--b", "-", "--a", "1"], ["--a", "1"], ["--b"]),
        (["--b=2", "--a=1"], ["--a=1"], ["--b"]),
        (["--a", "-1", "-v"], ["--a", "-1", "-v"], []),
        (["--b", "-1.5", "-.5", "--a", "x"], ["--a", "x"], ["--b"]),
        (["word", "-", "--a", "x"], ["word", "-", "--a", "x"], []),
    ],
)
def test_an_unknown_flag_goes_with_its_values(
    arguments: list[str], mine: list[str], others: list[str]
) -> None:
    assert split(arguments, {"--a"}) == (mine, others)


def test_a_wrong_value_is_told_in_one_line(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv += ["--axon.port", "99999"]
    with pytest.raises(SystemExit) as exited:
        bt.config(parser_with_everything())
    assert exited.value.code == 2
    assert capsys.readouterr().err.startswith("miner.py: --axon.port must be a port from 0")


def test_arguments_that_are_given_are_read_strictly_and_raise(argv: list[str]) -> None:
    argv += ["--axon.port", "1"]
    assert bt.config(parser_with_everything(), args=["--axon.port", "2"]).axon.port == 2
    with pytest.raises(ConfigError, match=r"unknown flag --neuron\.nme"):
        bt.config(parser_with_everything(), args=["--neuron.nme", "x"])


def test_flags_of_old_scripts_are_accepted(argv: list[str]) -> None:
    argv += ["--no_version_checking", "--strict", "--no_prompt"]
    config = bt.config(parser_with_everything())
    assert (config.strict, config.no_prompt) == (True, True)


def test_a_flag_that_the_parser_has_is_left_alone() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--axon.port", type=int, default=8098)
    bt.axon.add_args(parser)
    bt.axon.add_args(parser)
    config = bt.config(parser)
    assert (config.axon.port, config.axon.max_workers) == (8098, 10)


def test_a_prefix_goes_before_the_names(argv: list[str]) -> None:
    argv += ["--second.axon.port", "4"]
    parser = argparse.ArgumentParser()
    add_group(parser, "axon", "second")
    assert bt.config(parser).second.axon.port == 4


@pytest.mark.parametrize("of", [bt.wallet, bt.axon, bt.subtensor, bt.logging])
def test_check_config_asks_for_the_settings(of: type[bt.Wallet]) -> None:
    of.check_config(bt.config())
    with pytest.raises(ConfigError, match=r"has no \w+ settings; call bt"):
        of.check_config(bt.Config.empty())


@pytest.mark.parametrize("name", ["port", "external_port"])
def test_a_port_that_there_is_not_is_refused(name: str) -> None:
    config = bt.config()
    config.axon[name] = 65_536
    with pytest.raises(ConfigError, match=f"--axon.{name} must be a port"):
        bt.axon.check_config(config)


@pytest.mark.parametrize(
    "config",
    [
        argparse.Namespace(axon=argparse.Namespace(port=4)),
        {"axon": {"port": 4}},
        bt.Config(default={"axon": {"port": 8}}, parser=argparse.ArgumentParser(), args=[]),
        native.Config({"axon.port": native.Setting(4, "flag")}),
    ],
)
def test_a_setting_is_found_in_a_config_of_any_make(config: object) -> None:
    assert setting(config, "axon.port") in (4, 8)
    assert setting(config, "axon.nothing") is None
    assert setting(config, "nothing.at.all") is None
    assert setting(None, "axon.port") is None
