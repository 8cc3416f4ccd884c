"""`ganglion doctor` as an operator has it: real processes, a real miner, a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from node import Keypair, Wallet
from node.commands.doctor import _CHECKS
from node.neuron.doctor import CHECKS

from .programs import NODE, ROOT, environment, run, running

PASSWORD = "correct horse"
BASE = ["--netuid", "8", "--wallet.hotkey", "miner"]


@pytest.fixture(scope="module")
def wallets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plain hotkey and an encrypted one; made once, as that takes seconds."""
    folder = tmp_path_factory.mktemp("wallets")
    Wallet("default", "miner", folder).create()
    Wallet("default", "sealed", folder).set_hotkey(Keypair.generate(), password=PASSWORD)
    return folder


@pytest.fixture
def home(tmp_path: Path, wallets: Path) -> Path:
    shutil.copytree(wallets, tmp_path / ".bittensor" / "wallets")
    return tmp_path


def test_the_command_names_every_check() -> None:
    assert tuple(CHECKS) == _CHECKS


def test_a_miner_that_runs_is_well(home: Path) -> None:
    flags = [*BASE, "--axon.ip", "127.0.0.1"]
    with running(home, "miner", *flags, "--axon.port", "0") as process:
        flags += ["--axon.port", str(process.peer.port)]
        done = run(home, "doctor", *flags)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert done.stdout.splitlines()[-1] == "13 of 13 checks are good"
        assert process.peer.hotkey in done.stdout


def test_before_the_first_launch_warnings_are_no_failure(home: Path) -> None:
    done = run(home, "doctor", *BASE, "--axon.port", "0", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["ok"] is True
    assert [check["check"] for check in found["checks"]] == list(CHECKS)
    assert {"check", "verdict", "found", "advice"} == set(found["checks"][0])
    assert not (home / "ganglion").exists()


def test_what_failed_is_told_with_what_to_do(home: Path) -> None:
    done = run(home, "doctor", "--netuid", "8", "--wallet.hotkey", "nobody", "--axon.port", "0")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    [number] = [number for number, line in enumerate(lines) if line.startswith("fail ")]
    assert lines[number].startswith("fail wallet")
    assert lines[number + 1].lstrip().startswith("-> make one with `ganglion wallet new")
    assert "1 failed" in lines[-1]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--netuid", "8", "--axon.prot", "1"], "--axon.port"),
        (["--axon.port", "1"], "--netuid is required"),
        (["--netuid", "8", "--skip", "walet"], "did you mean wallet?"),
        (["--netuid", "8", "--config", "nowhere.yaml"], "can't be read"),
    ],
)
def test_a_wrong_setting_is_told_before_any_check(home: Path, argv: list[str], words: str) -> None:
    done = run(home, "doctor", *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("profile", ["miner.yaml", "validator.yaml"])
def test_the_profiles_of_miners_and_validators_are_taken(home: Path, profile: str) -> None:
    flags = ["--config", f"config/{profile}", *BASE, "--axon.port", "0"]
    done = run(home, "doctor", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"from file config/{profile}" in done.stdout


def test_no_output_has_a_secret(home: Path) -> None:
    phrase = Wallet("default", "miner", home / ".bittensor" / "wallets").hotkey.secret.phrase
    assert phrase
    flags = ["--netuid", "8", "--axon.port", "0", "--timeout", "2"]
    flags += ["--subtensor.network", "redis://user:geheim@127.0.0.1:1/0"]
    for hotkey, more in (("miner", []), ("sealed", ["--json"]), ("miner", ["--print_config"])):
        done = run(
            home, "doctor", *flags, "--wallet.hotkey", hotkey, *more,
            GANGLION_WALLET_PASSWORD=PASSWORD,
        )  # fmt: skip
        assert len(done.stdout.splitlines()) > 10
        for secret in (PASSWORD, "geheim", phrase, " ".join(phrase.split()[:2])):
            assert secret not in done.stdout + done.stderr


def test_a_key_that_others_read_and_one_that_is_locked(home: Path) -> None:
    Wallet("default", "miner", home / ".bittensor" / "wallets").hotkey_path.chmod(0o644)
    flags = ["--netuid", "8", "--axon.port", "0", "--json", "--wallet.hotkey"]
    found = {}
    for name, more in (("miner", []), ("sealed", []), ("sealed", ["--no_prompt"])):
        done = run(home, "doctor", *flags, name, *more)
        wallet = json.loads(done.stdout)["checks"][list(CHECKS).index("wallet")]
        found[name, *more] = (wallet["verdict"], done.returncode)
    assert found == {
        ("miner",): ("warn", 0),
        ("sealed",): ("warn", 0),
        ("sealed", "--no_prompt"): ("fail", 1),
    }


def test_on_a_terminal_it_is_a_coloured_table(home: Path) -> None:
    text = on_terminal(home, "doctor", *BASE, "--axon.port", "0", "--skip", "receipt,clock")
    assert "\x1b[32mok" in text
    assert "\x1b[33m→ " in text
    assert "receipt" not in text
    lines = [line for line in text.splitlines() if line.strip()]
    assert all(len(strip(line)) <= 100 for line in lines)


def strip(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()


def on_terminal(home: Path, *argv: str) -> str:
    """What a program writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*NODE, *argv], cwd=ROOT, env=environment(home, TERM="xterm-256color"),
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:
            pass  # Linux says so when the other side is closed
        os.close(ours)
        assert process.wait(30) == 0
    return written.decode()
