from __future__ import annotations

import argparse
import copy
import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.errors import ConfigError
from node.neuron.config import Config, Setting
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve


@pytest.fixture
def config() -> Config:
    return resolve(build_parser("miner", prog="p"), ["--netuid", "8", "--axon.port", "0"], {})


def test_attributes_and_keys_are_the_same_values(config: Config) -> None:
    assert config.axon.port == config["axon.port"] == 0
    assert config.netuid == 8
    assert config.source("axon.port") == "flag"
    assert config.source("wallet.name") == "default"
    assert config.get("axon.port") == 0
    assert config.get("no.such", "else") == "else"
    assert "axon.port" in config
    assert "axon" not in config


def test_an_unknown_name_is_told_with_the_nearest(config: Config) -> None:
    with pytest.raises(
        AttributeError, match=r"config has no axon\.prot; did you mean axon\.port\?"
    ):
        _ = config.axon.prot
    with pytest.raises(KeyError, match="did you mean"):
        _ = config["axon.prot"]
    with pytest.raises(KeyError):
        config.source("axon.prot")


def test_a_config_does_not_change(config: Config) -> None:
    with pytest.raises(AttributeError):
        config.axon.port = 5
    assert config.axon.port == 0


def test_a_config_can_be_copied(config: Config) -> None:
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other.axon.port == 0
        assert other.source("axon.port") == "flag"


def test_reprs_hold_no_values() -> None:
    config = Config({"my.key": Setting("hush", "flag")})
    assert "hush" not in repr(config) + repr(config.my) + repr(dict(config.items()))
    assert repr(config) == "Config(1 settings, 1 given)"


def test_a_name_can_not_be_a_value_and_a_group() -> None:
    parser = argparse.ArgumentParser(prog="p")
    parser.add_argument("--my")
    parser.add_argument("--my.size")
    with pytest.raises(ConfigError, match="my can't be a flag and a group"):
        resolve(parser, [], {})


# Printing ---------------------------------------------------------------------------------------


def test_sources_are_aligned_comments(config: Config) -> None:
    lines = config.to_yaml().splitlines()
    assert {line.index("  # ") for line in lines if "default" in line.split("#")[-1]} != set()
    assert len({line.rindex("# ") for line in lines}) == 1
    assert "axon.port: 0" in [line.split("  ")[0] for line in lines]


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1, max_size=30
).filter(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=TEXTS, folder=TEXTS, port=st.integers(0, 65535), switch=st.booleans())
def test_what_is_printed_can_be_read_back(
    tmp_path: Path, name: str, folder: str, port: int, switch: bool
) -> None:
    argv = [f"--wallet.name={name}", f"--wallet.path={folder}", f"--axon.port={port}"]
    argv += [f"--logging.json={'true' if switch else 'false'}", "--netuid=8"]
    config = resolve(build_parser("miner", prog="p"), argv, {})
    path = tmp_path / "again.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    again = resolve(build_parser("miner", prog="p"), ["--config", str(path)], {})
    assert {k: again[k] for k in again if k != "config"} == {
        k: config[k] for k in config if k != "config"
    }
    assert again.source("axon.port") == f"file {path}"


@pytest.mark.parametrize(
    "text", ["no", "null", "8091", "a: b", "#x", " x", "a\nb", "\x1b[31m", "~"]
)
def test_texts_that_yaml_would_take_for_something_else_come_back(tmp_path: Path, text: str) -> None:
    config = resolve(build_parser("miner", prog="p"), ["--netuid=8", f"--wallet.name={text}"], {})
    assert "\x1b" not in config.to_yaml()
    path = tmp_path / "again.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    again = resolve(build_parser("miner", prog="p"), ["--config", str(path)], {})
    assert again.wallet.name == text


@pytest.mark.parametrize(
    "name", ["password", "openai.api_key", "my.secret", "hf_token", "seed", "wallet.private_key"]
)
def test_secrets_are_not_printed(name: str) -> None:
    parser = argparse.ArgumentParser(prog="p")
    parser.add_argument(f"--{name}")
    shown = resolve(parser, [f"--{name}", "hunter2"], {}).to_yaml()
    assert shown == f"# {name}: hidden  # flag\n"


@pytest.mark.parametrize("name", ["neuron.token_delay", "max_tokens", "seed_count", "wallet.name"])
def test_names_that_only_sound_like_secrets_are_printed(name: str) -> None:
    shown = Config({name: Setting("12", "flag")}).to_yaml()
    assert shown == f"{name}: '12'  # flag\n"


def test_a_password_inside_an_address_is_not_printed() -> None:
    config = resolve(
        build_parser("miner", prog="p"),
        ["--netuid=8", "--subtensor.network", "redis://me:hunter2@host:1/0"],
        {"GANGLION_WALLET_PASSWORD": "hunter3"},
    )
    shown = config.to_yaml()
    assert "redis://me:***@host:1/0" in shown
    assert "hunter" not in shown
