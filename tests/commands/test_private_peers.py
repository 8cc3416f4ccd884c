"""`--subtensor.allow_private`, from flags to connections, on a network that strangers write to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from node import Keypair, Wallet, open_network
from node.commands import query
from node.network import opening
from node.network.local import LocalNetwork
from node.neuron import neuron as neuron_module
from node.neuron import validator as validator_module
from node.neuron.flags import build_parser
from node.neuron.miner import Miner
from node.neuron.resolver import resolve
from node.neuron.validator import Validator

from .programs import ROOT, run, running
from .served import WHOLE, served

NETUID = 8
CLIENT = [sys.executable, str(ROOT / "scripts" / "client.py")]


@pytest.fixture(scope="module")
def wallets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wallets")
    for name in ("miner", "asker"):
        Wallet("default", name, folder).create()
    return folder


@pytest.fixture
def flags(wallets: Path, redis_url: str) -> list[str]:
    """What every program here is told; both hotkeys are registered on its network."""
    with open_network(redis_url) as network:
        for name in ("miner", "asker"):
            network.register(NETUID, Wallet("default", name, wallets))
    return [
        "--netuid", str(NETUID), "--wallet.path", str(wallets), "--subtensor.network", redis_url,
    ]  # fmt: skip


def serving(flags: list[str]) -> list[str]:
    return ["miner", *flags, "--wallet.hotkey", "miner", "--axon.ip", "127.0.0.1", "--axon.port",
            "0"]  # fmt: skip


def test_a_miner_publishes_no_private_address(tmp_path: Path, flags: list[str]) -> None:
    done = run(tmp_path, *serving(flags))
    assert done.returncode == 2
    assert "127.0.0.1 is a loopback address" in done.stderr
    for flag in ("--axon.external_ip", "--subtensor.allow_private"):
        assert flag in done.stderr


def test_where_it_is_allowed_it_is_published_and_asked(tmp_path: Path, flags: list[str]) -> None:
    asking = ["hello", *flags, "--wallet.hotkey", "asker"]
    with running(tmp_path, *serving(flags), "--subtensor.allow_private") as miner:
        assert miner.peer.ip == "127.0.0.1"
        careful = run(tmp_path, "query", *asking)
        assert (careful.returncode, "nobody else serves" in careful.stderr) == (1, True)
        allowed = run(tmp_path, "query", *asking, "--subtensor.allow_private")
        assert (allowed.returncode, allowed.stderr) == (0, "")
        client = ["--prompt", "hello", *asking[1:], "--my_uid", "0"]
        careful = run(tmp_path, *client, program=CLIENT)
        assert (careful.returncode, careful.stdout.strip()) == (1, "")
        allowed = run(tmp_path, *client, "--subtensor.allow_private", program=CLIENT)
        assert (allowed.returncode, allowed.stdout.strip()) == (0, "hello")


def test_serving_by_hand(tmp_path: Path, flags: list[str]) -> None:
    argv = ["network", "serve", *flags, "--wallet.hotkey", "miner"]
    refused = run(tmp_path, *argv)
    assert (refused.returncode, "a loopback address" in refused.stderr) == (2, True)
    assert run(tmp_path, *argv, "--subtensor.allow_private").returncode == 0
    shown = ["network", "show", "--json", *flags[:2], *flags[4:]]
    assert '"axon": null' in run(tmp_path, *shown).stdout
    assert '"127.0.0.1:8091"' in run(tmp_path, *shown, "--subtensor.allow_private").stdout


@pytest.mark.parametrize(
    ("more", "code"), [([], 1), (["--subtensor.allow_private"], 0), (["--peers"], 0)]
)
def test_an_address_that_passed_the_network_is_still_not_connected_to(
    tmp_path: Path,
    wallets: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
) -> None:
    # As a name does that resolves to such an address: the registry lists it, whatever its policy.
    registry = LocalNetwork(tmp_path / "net.db", name="elsewhere")
    monkeypatch.setattr("node.network.open_network", lambda *given: registry)
    with served() as peers:
        miner = Keypair.from_uri("//stream")
        registry.register(NETUID, miner)
        registry.serve(NETUID, miner, peers["stream"])
        if more == ["--peers"]:
            more = ["--peers", str(peers["stream"])]
        argv = ["hello", "--netuid", str(NETUID), "--wallet.path", str(wallets)]
        argv += ["--wallet.hotkey", "asker", "--subtensor.network", "redis://elsewhere"]
        assert query.main([*argv, *more], "query") == code
    out = capsys.readouterr().out
    assert (WHOLE in out) == (code == 0)
    assert ("it leads to a loopback" in out) == (code == 1)


@pytest.mark.parametrize(
    ("argv", "allowed"),
    [
        (["--subtensor.network", "redis://h"], False),
        (["--subtensor.network", "redis://h", "--subtensor.allow_private"], True),
        (["--subtensor.network", "local"], True),
    ],
)
def test_a_neuron_opens_its_network_by_the_flag(
    wallets: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], allowed: bool
) -> None:
    given: list[Any] = []

    def recorded(name: str, private: bool) -> object:
        given.append((name, private))
        return opening.open_network("local")

    monkeypatch.setattr(neuron_module, "open_network", recorded)
    flags = ["--netuid", "8", "--wallet.path", str(wallets), "--wallet.hotkey", "miner", *argv]
    Miner(resolve(build_parser("miner", prog="p"), flags, {}))
    assert given == [(argv[1], allowed)]
    options: dict[str, Any] = {}
    monkeypatch.setattr(validator_module, "Dendrite", lambda *args, **more: options.update(more))
    Validator(resolve(build_parser("validator", prog="p"), flags, {}))._make_dendrite()
    assert options["allow_private"] is allowed
