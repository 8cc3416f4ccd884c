"""`ganglion report`: which state it reads, what it writes, and what it refuses."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from node import Wallet, cli
from node.commands import report
from node.neuron.state import ValidatorState, state_path
from tests.report.states import write_state

from .programs import run

Output = pytest.CaptureFixture[str]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.db"
    write_state(path, peers=6, steps=4, sample=6)
    return path


def refusal(capsys: Output, *argv: str) -> str:
    assert cli.main(["report", *argv]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_a_report_of_a_file(state: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "page.html"
    assert cli.main(["report", "--state", str(state), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: steps 4, peers 6\n"
    assert out.read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir() if "html" in path.name) == ["page.html"]


def test_a_report_of_a_validator_by_its_wallet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BT_WALLET_PATH", str(tmp_path / "wallets"))
    monkeypatch.chdir(tmp_path)
    hotkey = Wallet("default", "v", tmp_path / "wallets").create().hotkey.ss58_address
    network = f"local:{tmp_path / 'network.db'}"
    path = state_path(8, hotkey, network)
    with ValidatorState(path, netuid=8, hotkey=hotkey, network=network):
        flags = ["--netuid", "8", "--subtensor.network", network, "--wallet.hotkey", "v"]
        assert cli.main(["report", *flags]) == 0, "also while the validator runs"
    assert hotkey in (tmp_path / report.DEFAULT_OUT).read_text()


def test_without_matplotlib_it_says_what_to_install(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = tmp_path / "page.html"
    err = refusal(capsys, "--state", str(state), "--out", str(out))
    assert "pip install ganglion[plot]" in err
    assert not out.exists()


def test_what_it_can_not_read_or_write_is_told(state: Path, tmp_path: Path, capsys: Output) -> None:
    out = str(tmp_path / "page.html")
    assert "name the state" in refusal(capsys, "--out", out)
    assert "there is no state" in refusal(capsys, "--state", str(tmp_path / "x"), "--out", out)
    nowhere = str(tmp_path / "no" / "page.html")
    assert "there is no folder" in refusal(capsys, "--state", str(state), "--out", nowhere)
    assert "it is a folder" in refusal(capsys, "--state", str(state), "--out", str(tmp_path))
    before = state.read_bytes()
    assert "the state itself" in refusal(capsys, "--state", str(state), "--out", str(state))
    assert state.read_bytes() == before


def test_a_full_disk_leaves_the_old_report(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    out = tmp_path / "page.html"
    out.write_text("old")

    def fill(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    assert "No space left" in refusal(capsys, "--state", str(state), "--out", str(out))
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if "html" in path.name] == ["page.html"]


def test_help_does_not_import_matplotlib(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom node.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "sys.exit('matplotlib' in sys.modules)\n"
    )
    ran = run(tmp_path, "report", "--help", program=[sys.executable, "-c", script])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "--out" in ran.stdout
