from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from node import Keypair, Wallet, errors
from node.commands.network import add_parser
from node.network.local import LocalNetwork

Run = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BT_WALLET_PATH", str(tmp_path / "wallets"))
    for name in ("BT_WALLET_NAME", "BT_WALLET_HOTKEY", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def alice(home: Path) -> Wallet:
    return Wallet("alice", "miner", home / "wallets").create()


@pytest.fixture
def run(home: Path) -> Run:
    parser = argparse.ArgumentParser(prog="ganglion")
    add_parser(parser.add_subparsers(required=True))

    def call(line: str) -> int:
        args = parser.parse_args(["network", *line.split()])
        code: int = args.run(args)
        return code

    return call


ALICE = "--netuid 8 --wallet.name alice --wallet.hotkey miner"


class TestRegister:
    def test_gives_a_uid_and_tells_it(
        self, run: Run, alice: Wallet, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(f"register {ALICE}") == 0
        assert capsys.readouterr().out == (
            f"uid 0: {alice.hotkey.ss58_address} is registered on netuid 8 of local\n"
        )

    def test_names_from_the_environment(
        self, run: Run, home: Path, alice: Wallet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BT_WALLET_NAME", "alice")
        monkeypatch.setenv("BT_WALLET_HOTKEY", "miner")
        run("register --netuid 8")
        graph = LocalNetwork(home / "home" / "local.db").metagraph(8)
        assert graph.hotkeys == [alice.hotkey.ss58_address]
        assert graph.coldkeys == [alice.coldkeypub.ss58_address]

    def test_a_flag_is_before_the_environment(
        self, run: Run, alice: Wallet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BT_WALLET_NAME", "somebody")
        assert run(f"register {ALICE}") == 0

    def test_stake_and_permit(
        self, run: Run, home: Path, alice: Wallet, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(f"register {ALICE} --stake 12.5 --validator_permit")
        assert "this is a test registry" in capsys.readouterr().out
        network = LocalNetwork(home / "home" / "local.db")
        graph = network.metagraph(8)
        assert (graph.stake, graph.validator_permit) == ([12.5], [True])
        run(f"register {ALICE}")
        assert graph.sync().stake == [12.5]
        run(f"register {ALICE} --no-validator_permit")
        assert (graph.sync().stake, graph.validator_permit) == ([12.5], [False])

    @pytest.mark.parametrize("stake", ["nan", "-1", "inf", "x", "1e16"])
    def test_a_bad_stake_registers_nobody(
        self,
        run: Run,
        home: Path,
        alice: Wallet,
        capsys: pytest.CaptureFixture[str],
        stake: str,
    ) -> None:
        with pytest.raises(SystemExit, match="2"):
            run(f"register {ALICE} --stake={stake}")
        assert f"'{stake}' is not a number from 0 to 1e+15" in capsys.readouterr().err
        assert not (home / "home").exists()

    def test_a_missing_wallet_registers_nobody(self, run: Run, home: Path) -> None:
        with pytest.raises(errors.WalletNotFound):
            run(f"register {ALICE}")
        assert not (home / "home").exists()

    @pytest.mark.parametrize("line", ["register", "register --netuid x", "register --netu 8", ""])
    def test_bad_lines(self, run: Run, line: str) -> None:
        with pytest.raises(SystemExit, match="2"):
            run(line)


class TestServe:
    def test_publishes(
        self, run: Run, home: Path, alice: Wallet, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(f"register {ALICE}")
        graph = LocalNetwork(home / "home" / "local.db").metagraph(8)
        for flags, endpoint in (
            ("", "127.0.0.1:8091"),
            ("--axon.external_ip ::1 --axon.port 9000", "[::1]:9000"),
            ("--axon.port 9000 --axon.external_port 80", "127.0.0.1:80"),
            ("--axon.external_ip miner.example", "miner.example:8091"),
        ):
            capsys.readouterr()
            assert run(f"serve {ALICE} {flags}") == 0
            assert graph.sync().axons[0].endpoint == endpoint
            assert capsys.readouterr().out == (
                f"{alice.hotkey.ss58_address} serves at {endpoint} on netuid 8 of local\n"
            )

    def test_takes_it_back(
        self, run: Run, home: Path, alice: Wallet, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(f"register {ALICE}")
        run(f"serve {ALICE}")
        run(f"serve {ALICE} --axon.port 0")
        assert "does not serve on netuid 8" in capsys.readouterr().out
        assert not LocalNetwork(home / "home" / "local.db").metagraph(8).axons[0].is_serving

    def test_unregistered_is_told_what_to_run(self, run: Run, home: Path, alice: Wallet) -> None:
        with pytest.raises(errors.NotRegistered, match=r"run: ganglion (.*)$") as caught:
            run(f"serve {ALICE}")
        command = str(caught.value).partition("run: ganglion network ")[2]
        assert run(command) == 0
        assert run(f"serve {ALICE}") == 0

    @pytest.mark.parametrize("flags", ["--axon.port 99999", "--axon.external_ip a/b"])
    def test_bad_values(self, run: Run, alice: Wallet, flags: str) -> None:
        with pytest.raises(errors.ConfigError, match=r"99999|a/b"):
            run(f"serve {ALICE} {flags}")


class TestShow:
    @pytest.fixture
    def filled(self, run: Run, alice: Wallet, capsys: pytest.CaptureFixture[str]) -> Wallet:
        run(f"register {ALICE} --stake 1000 --validator_permit")
        run(f"serve {ALICE} --axon.external_ip 2001:db8:1111:2222:3333:4444:5555:6666")
        capsys.readouterr()
        return alice

    def test_table(
        self, run: Run, home: Path, filled: Wallet, capsys: pytest.CaptureFixture[str]
    ) -> None:
        network = LocalNetwork(home / "home" / "local.db")
        network.register(8, Keypair.from_uri("//Bob"))
        network.set_weights(8, filled, [0, 1], [1, 3])
        assert run("show --netuid 8") == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].strip() == "netuid 8 of local, block 0"
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
        address = filled.hotkey.ss58_address
        assert rows == [
            [
                "0",
                f"{address[:6]}...{address[-4:]}",
                "[2001:db8:1111:2222:3333:4444:5555:6666]:8091",
                "-",
                "1000",
                "yes",
                "0.2500",
            ],
            ["1", "5FHneW...94ty", "-", "-", "0", "-", "0.7500"],
        ]

    def test_json(self, run: Run, filled: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("show --netuid 8 --json") == 0
        assert json.loads(capsys.readouterr().out) == {
            "network": "local",
            "netuid": 8,
            "block": 0,
            "neurons": [
                {
                    "uid": 0,
                    "hotkey": filled.hotkey.ss58_address,
                    "coldkey": filled.coldkeypub.ss58_address,
                    "axon": "[2001:db8:1111:2222:3333:4444:5555:6666]:8091",
                    "protocols": [],
                    "stake": 1000.0,
                    "validator_permit": True,
                    "incentive": 0.0,
                    "last_update": 0,
                }
            ],
        }

    def test_an_empty_subnet_makes_nothing(
        self, run: Run, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("show --netuid 8") == 0
        assert capsys.readouterr().out == (
            "netuid 8 of local has no neurons\n"
            "register one with: ganglion network register --netuid 8 --subtensor.network local\n"
        )
        assert run("show --netuid 8 --json") == 0
        assert json.loads(capsys.readouterr().out)["neurons"] == []
        assert not (home / "home").exists()

    def test_another_file(
        self, run: Run, home: Path, filled: Wallet, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(f"show --netuid 8 --json --subtensor.network local:{home}/home/local.db")
        assert len(json.loads(capsys.readouterr().out)["neurons"]) == 1

    def test_a_network_that_there_is_not(self, run: Run) -> None:
        with pytest.raises(errors.ConfigError, match="did you mean 'finney'"):
            run("show --netuid 8 --subtensor.network finey")


def test_a_registry_in_a_redis_is_no_other(
    run: Run, alice: Wallet, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network = f"--subtensor.network {redis_url}"
    run(f"register {ALICE} {network} --stake 7.5 --validator_permit")
    assert "this is a test registry" in capsys.readouterr().out
    serve = f"serve {ALICE} {network}"
    with pytest.raises(errors.ConfigError, match=r"--subtensor\.allow_private"):
        run(serve)
    run(f"{serve} --subtensor.allow_private")
    capsys.readouterr()
    run(f"show --netuid 8 --json {network} --subtensor.allow_private")
    shown = json.loads(capsys.readouterr().out)
    assert shown["network"] == redis_url
    (neuron,) = shown["neurons"]
    assert neuron["hotkey"] == alice.hotkey.ss58_address
    assert (neuron["axon"], neuron["stake"]) == ("127.0.0.1:8091", 7.5)


def test_importing_the_module_is_cheap() -> None:
    program = (
        "import sys, node.commands.network\n"
        "heavy = {'rich', 'sqlite3', 'asyncio', 'yaml', 'pydantic', 'aiohttp', 'bittensor_core'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout == "[]\n"
