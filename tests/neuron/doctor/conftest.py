"""A neuron to examine: its settings, its wallet, a local network, and its axon on loopback."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from node import Axon, Wallet, open_network
from node.neuron.config import Config
from node.neuron.doctor import Key
from node.neuron.doctor.probing import Prober
from node.neuron.flags import add_flags, build_parser
from node.neuron.resolver import resolve
from protocols.prompting import StreamPrompting

NETUID = 8
Settings = Callable[..., Config]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path / "ganglion"))
    for name in ("GANGLION_WALLET_PASSWORD", "BT_WALLET_PASSWORD", "BT_WALLET_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def wallet(tmp_path: Path) -> Wallet:
    return Wallet("default", "miner", tmp_path / "wallets").create()


@pytest.fixture
def key(wallet: Wallet) -> Key:
    return Key(wallet.hotkey.ss58_address, wallet.hotkey)


@pytest.fixture
def network(tmp_path: Path) -> str:
    return f"local:{tmp_path / 'net.db'}"


@pytest.fixture
def settings(tmp_path: Path, network: str) -> Settings:
    """Makes the settings of a command line; later flags win over those that a test needs."""

    def make(*argv: str) -> Config:
        parser = build_parser("validator", prog="doctor")
        add_flags(parser, "miner")
        given = [
            "--netuid", str(NETUID), "--wallet.hotkey", "miner",
            "--wallet.path", str(tmp_path / "wallets"), "--subtensor.network", network,
            "--axon.ip", "127.0.0.1",
        ]  # fmt: skip
        return resolve(parser, [*given, *argv], {})

    return make


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    async with Prober(allow_private=True, timeout_s=5.0) as prober:
        yield prober


async def echo(synapse: StreamPrompting) -> AsyncIterator[str]:
    yield synapse.messages[-1]


@pytest.fixture
async def running(wallet: Wallet) -> AsyncIterator[Axon]:
    """The neuron's own axon."""
    async with Axon(wallet, ip="127.0.0.1", port=0).attach(echo) as axon:
        yield axon


@pytest.fixture
async def listed(wallet: Wallet, network: str, running: Axon) -> Axon:
    """The same, registered and published."""
    async with open_network(network) as opened:
        await opened.register(NETUID, wallet)
        await opened.serve(NETUID, wallet, running.info())
    return running


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
