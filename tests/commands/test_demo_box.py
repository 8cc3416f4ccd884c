"""`ganglion demo --faulty`: faults end below honest miners, and nothing is left behind."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from node import cli
from node.testing import FAULTS

from .programs import NODE, ROOT, environment, run

HARMFUL = [name for name, kind in FAULTS.items() if not kind.is_harmless]
ROW = re.compile(r"^│ (\w+) +│ +(\d+) │ +([\d.]+) │ +([\d.]+) │ (.*?) *│$", re.MULTILINE)


def test_every_fault_is_scored_below_every_honest_miner(tmp_path: Path) -> None:
    count = len(HARMFUL)
    done = run(
        tmp_path, "demo", "--miners", str(count + 8), "--faulty", str(count), "--steps", "3",
        "--token_delay", "0.01",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {name: rest for name, *rest in ROW.findall(done.stdout)}
    assert set(rows) == {"honest", *HARMFUL}
    assert rows["honest"][0] == "8"
    lowest = float(rows["honest"][1])
    assert all(float(rows[name][2]) < lowest for name in HARMFUL)
    assert "ok" not in "".join(rows[name][3] for name in HARMFUL)
    assert "Every faulty miner is below every honest one." in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--miners", "2", "--faulty", "3"], "--faulty 3 is more than --miners 2"),
        (["--faulty", "1", "--prompt", "x"], "--prompt is for a demo without --faulty"),
        (["--steps", "1"], "--steps is for a demo with --faulty"),
    ],
)
def test_what_does_not_go_together_is_said(
    flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", *flags]) == 2
    assert told in capsys.readouterr().err


def test_a_signal_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*NODE, "demo", "--miners", "4", "--faulty", "1", "--steps", "100"], cwd=ROOT,
        env=environment(tmp_path, TMPDIR=str(tmp_path)), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert process.stderr is not None
    deadline = time.monotonic() + 60
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM, told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
