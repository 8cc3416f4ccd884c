"""The profiles in config/, and `--print_config` as an operator sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from node.neuron.flags import build_parser, flags_of
from node.neuron.resolver import resolve

from .programs import ROOT, run

MINER, VALIDATOR = ROOT / "config" / "miner.yaml", ROOT / "config" / "validator.yaml"
QUERY = ROOT / "config" / "query.yaml"
ARGUMENTS = {"miner": ["--netuid", "8"], "validator": ["--netuid", "8"], "query": ["hi"]}


@pytest.mark.parametrize(
    ("path", "kind"), [(MINER, "miner"), (VALIDATOR, "validator"), (QUERY, "query")]
)
def test_each_profile_is_loaded_and_every_key_of_it_counts(path: Path, kind: str) -> None:
    config = resolve(build_parser(kind, prog="p"), [*ARGUMENTS[kind], "--config", str(path)], {})
    written = {
        f"{group}.{name}": value
        for group, values in yaml.safe_load(path.read_text(encoding="utf-8")).items()
        for name, value in values.items()
    }
    assert written
    for name, value in written.items():
        assert config.source(name) == f"file {path}"
        found = list(config[name]) if isinstance(config[name], tuple) else config[name]
        assert found == value, name


@pytest.mark.parametrize(
    ("path", "kind", "groups"),
    [
        (MINER, "miner", ("wallet", "axon", "blacklist", "neuron")),
        (VALIDATOR, "validator", ("wallet", "axon", "neuron")),
    ],
)
def test_a_profile_shows_every_setting_that_a_profile_is_for(
    path: Path, kind: str, groups: tuple[str, ...]
) -> None:
    named = yaml.safe_load(path.read_text(encoding="utf-8"))
    expected = {f.name for f in flags_of(kind) if f.group in groups and not f.refused}
    assert {f"{group}.{name}" for group in groups for name in named[group]} == expected


def test_a_flag_and_a_variable_win_over_a_profile_in_a_real_process(tmp_path: Path) -> None:
    argv = ["miner", "--axon.port", "1", "--config", str(MINER), "--netuid", "8", "--print_config"]
    done = run(tmp_path, *argv, GANGLION_AXON_MAX_WORKERS="3", BT_WALLET_NAME="cold")
    assert (done.returncode, done.stderr) == (0, "")
    pairs = (line.split(": ", 1) for line in done.stdout.splitlines())
    found = {name: " ".join(rest.split()) for name, rest in pairs}
    assert found["axon.port"] == "1 # flag"
    assert found["axon.max_workers"] == "3 # environment GANGLION_AXON_MAX_WORKERS"
    assert found["wallet.name"] == "cold # environment BT_WALLET_NAME"
    assert found["wallet.hotkey"] == f"miner # file {MINER}"
    assert found["logging.json"] == "false # default"
    assert found["# config"] == f"{MINER} # flag"


def test_nothing_secret_is_printed(tmp_path: Path) -> None:
    run(tmp_path, "wallet", "new", "--no_password")
    argv = ["miner", "--netuid", "8", "--print_config", "--subtensor.network", "redis://:pw9@h"]
    done = run(tmp_path, *argv, GANGLION_WALLET_PASSWORD="pw8", BT_WALLET_PASSWORD="pw7")
    assert done.returncode == 0
    assert "pw" not in done.stdout
    assert "redis://:***@h" in done.stdout


def test_a_run_prints_its_config_without_starting_anything(tmp_path: Path) -> None:
    # No wallet is there: a start would fail.
    assert run(tmp_path, "miner", "--print_config").returncode == 0
    assert list(tmp_path.iterdir()) == []
