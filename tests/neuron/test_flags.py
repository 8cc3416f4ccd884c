from __future__ import annotations

import argparse
from typing import Any

import pytest

from node.errors import ConfigError
from node.neuron.flags import KINDS, add_flags, build_parser, flags_of
from node.neuron.resolver import resolve

SHARED = {
    "netuid": 8,
    "wallet.name": "default",
    "wallet.hotkey": "default",
    "wallet.path": "~/.bittensor/wallets",
    "subtensor.network": "local",
    "subtensor.chain_endpoint": None,
    "subtensor.allow_private": False,
    "logging.debug": False,
    "logging.trace": False,
    "logging.info": False,
    "logging.record_log": False,
    "logging.logging_dir": "~/.bittensor/miners",
    "config": None,
    "strict": False,
    "no_prompt": False,
    "mock": False,
}
SERVER = {
    "axon.port": 8091,
    "axon.ip": "0.0.0.0",
    "axon.external_ip": None,
    "axon.external_port": None,
    "axon.max_workers": 10,
    "neuron.epoch_length": 100,
    "neuron.axon_off": False,
}
MINER = {
    "blacklist.force_validator_permit": False,
    "blacklist.allow_non_registered": False,
    "blacklist.minimum_stake_requirement": 0.0,
    "neuron.name": "miner",
}
VALIDATOR = {
    "neuron.name": "validator",
    "neuron.sample_size": 50,
    "neuron.timeout": 10.0,
    "neuron.moving_average_alpha": 0.1,
    "neuron.num_concurrent_forwards": 1,
    "neuron.vpermit_tao_limit": 4096,
    "neuron.disable_set_weights": False,
}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("miner", SHARED | SERVER | MINER),
        ("validator", SHARED | SERVER | VALIDATOR),
        ("client", SHARED | {"neuron.timeout": 10.0}),
    ],
)
def test_names_and_defaults_are_those_that_operators_use(
    kind: str, expected: dict[str, Any]
) -> None:
    config = resolve(build_parser(kind, prog="p"), ["--netuid", "8"], {})
    assert {name: config[name] for name in expected} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_help_groups_the_flags_and_says_what_each_does(kind: str) -> None:
    text = build_parser(kind, prog="p").format_help()
    groups = {flag.group for flag in flags_of(kind)}
    assert [group for group in groups if f"\n{group}:\n" not in text] == []
    for flag in flags_of(kind):
        assert flag.help
        assert (f"--{flag.name}" in text) == (not flag.refused and flag.name != "prompt")


def test_an_unknown_kind_is_told() -> None:
    with pytest.raises(ConfigError, match="no kind of program 'minr'; did you mean miner"):
        build_parser("minr")


def test_a_flag_that_is_added_again_replaces_the_first() -> None:
    parser = build_parser("miner", prog="p")
    parser.add_argument("--netuid", type=int, default=17)
    parser.add_argument("--axon.port", type=int, default=9)
    config = resolve(parser, [], {})
    assert (config.netuid, config.axon.port) == (17, 9)


def test_flags_can_be_added_to_any_parser_and_leave_what_is_there() -> None:
    parser = argparse.ArgumentParser(prog="mine")
    parser.add_argument("--netuid", type=int, default=17)
    add_flags(parser, "miner")
    config = resolve(parser, ["--axon.port", "9"], {})
    assert (config.netuid, config.axon.port) == (17, 9)
    with pytest.raises(ConfigError, match=r"--mock is not available"):
        resolve(parser, ["--mock"], {})
