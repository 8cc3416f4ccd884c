"""`ganglion demo` from end to end, and that nothing is left behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node import cli
from node.commands.demo import PROMPT

from .programs import NODE, ROOT, environment, run, running


def processes_of(folder: Path) -> list[str]:
    """The command lines of processes that name the folder."""
    listed = subprocess.run(
        ["ps", "-eo", "args", "-ww"], capture_output=True, encoding="utf-8", check=True
    )
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its temporary folder."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def assert_nothing_is_left(home: Path, scratch: Path) -> None:
    assert list(scratch.iterdir()) == []
    assert processes_of(scratch) == []
    # Neither are the user's own wallets and network touched.
    assert [path for path in home.iterdir() if path != scratch] == []


def test_the_demo_streams_through_three_miners_and_leaves_nothing(
    tmp_path: Path, scratch: Path
) -> None:
    done = run(tmp_path, "demo", "--miners", "3", "--token_delay", "0.005")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    table = [line for line in lines if line.startswith("│")]
    assert len(table) == 3
    assert all("200 Success" in line for line in table)
    for uid in (1, 2, 3):
        pieces = re.findall(rf"^uid {uid} \| (.*)$", done.stdout, re.MULTILINE)
        assert "".join(pieces) == PROMPT
        assert len(pieces) > 10
    # All at once: every miner's first piece comes before any miner's last.
    order = [line[:5] for line in lines if line.startswith("uid ")]
    assert max(order.index(f"uid {uid}") for uid in (1, 2, 3)) < min(
        len(order) - 1 - order[::-1].index(f"uid {uid}") for uid in (1, 2, 3)
    )
    assert_nothing_is_left(tmp_path, scratch)


def test_settings_that_are_meant_for_other_miners_do_not_disturb_it(
    tmp_path: Path, scratch: Path
) -> None:
    argv = ["demo", "--miners", "1", "--prompt", "one two", "--token_delay", "0"]
    done = run(tmp_path, *argv, GANGLION_AXON_PORT="1", BT_WALLET_NAME="mine", GANGLION_MOCK="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "uid 1 | one two\n" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["starting", "streaming"])
def test_a_signal_at_any_time_leaves_nothing(
    tmp_path: Path, scratch: Path, number: signal.Signals, moment: str
) -> None:
    with running(tmp_path, "demo", "--token_delay", "5") as demo:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            miners = [line for line in processes_of(scratch) if " miner " in line]
            logs = [path.read_text() for path in scratch.glob("*/*.log")]
            if len(miners) == 3 and (
                moment == "starting" or sum("serves as" in log for log in logs) == 3
            ):
                break
            time.sleep(0.02)
        else:
            pytest.fail("the miners did not start")
        if moment == "streaming":
            time.sleep(0.4)
        demo.process.send_signal(number)
        demo.process.send_signal(number)
        # Well before the miners would have to be killed.
        assert demo.wait(8.0) == 128 + number
        assert "Traceback" not in "".join(demo.lines)
    assert_nothing_is_left(tmp_path, scratch)


def test_a_miner_that_dies_is_shown_with_what_it_wrote(tmp_path: Path, scratch: Path) -> None:
    # A site module of the test's own makes every miner fail, and only the miners.
    (scratch / "broken").mkdir()
    (scratch / "broken" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'miner' in sys.orig_argv:\n"
        "    os.write(2, b'no luck\\x1b[2J\\n')\n"
        "    os._exit(7)\n"
    )
    done = run(tmp_path, "demo", PYTHONPATH=str(scratch / "broken"))
    assert done.returncode == 2
    shown, error = done.stderr.splitlines()
    assert re.fullmatch(r"miner\d: no luck\\x1b\[2J", shown)
    assert re.fullmatch(r"ganglion demo: miner\d ended with code 7 at its start", error)
    assert [path.name for path in scratch.iterdir()] == ["broken"]
    assert processes_of(scratch) == []


def test_a_miner_that_ignores_the_request_to_end_is_killed(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (scratch / "broken").mkdir()
    (scratch / "broken" / "sitecustomize.py").write_text(
        "import signal, sys, time\n"
        "if 'miner' in sys.orig_argv:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    time.sleep(60)\n"
    )
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr("node.commands.demo._TERM_S", 0.3)
    monkeypatch.setenv("PYTHONPATH", str(scratch / "broken"))
    assert cli.main(["demo", "--deadline", "0.5"]) == 2
    assert "did not all serve" in capsys.readouterr().err
    assert processes_of(scratch) == []
    assert [path.name for path in scratch.iterdir()] == ["broken"]


def test_miners_that_take_too_long_are_ended(tmp_path: Path, scratch: Path) -> None:
    done = run(tmp_path, "demo", "--deadline", "0.05")
    assert done.returncode == 2
    assert "did not all serve within 0.05 s" in done.stderr
    assert_nothing_is_left(tmp_path, scratch)


def test_a_reader_that_leaves_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    line = f"{' '.join(NODE)} demo | head -n 2"
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, env=environment(tmp_path), capture_output=True,
        encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 2
    assert "Traceback" not in done.stderr
    assert_nothing_is_left(tmp_path, scratch)


def test_a_terminal_gets_panes_and_a_live_table(tmp_path: Path, scratch: Path) -> None:
    import pty

    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [*NODE, "demo", "--miners", "2", "--token_delay", "0.01"], cwd=ROOT, stdout=slave,
            stderr=slave, stdin=subprocess.DEVNULL,
            env=environment(tmp_path, TERM="xterm", LINES="40"),
        )  # fmt: skip
        os.close(slave)
        shown = b""
        try:
            while part := os.read(master, 65536):
                shown += part
        except OSError:
            pass  # Linux's way to tell that the other side closed
        assert process.wait(20) == 0
    finally:
        os.close(master)
    text = shown.decode()
    assert "╭─ uid 1 " in text
    live, _, final = text.partition("2 miners registered")[2].rpartition("┏━")
    assert "2 peers: 2 answering" in live
    assert "peers:" not in final
    assert final.count("200 Success") == 2
    assert "\x1b[?25h" in text, "the cursor is shown again"
    assert sys.executable not in text
    assert_nothing_is_left(tmp_path, scratch)
