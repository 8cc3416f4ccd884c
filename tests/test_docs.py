"""Every code block of the documentation runs, as a reader would run it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Commands that build or install, which the test command and an image builder do.
ELSEWHERE = ("scripts/", "pip install", "docker ")


class Block(NamedTuple):
    page: str
    language: str
    name: str
    text: str


def blocks() -> Iterator[Block]:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for language, options, text in BLOCK.findall(path.read_text()):
            name = re.search(r"name=(\S+)", options)
            yield Block(path.name, language, name.group(1) if name else "", text)


BLOCKS = list(blocks())
PYTHON = {block.name: block.text for block in BLOCKS if block.language == "python"}


def test_every_python_block_has_a_name_by_which_a_test_runs_it() -> None:
    migrated = {"subnet_protocol.py", "subnet_miner.py", "subnet_validator.py"}
    first = {"my_miner.py", "my_validator.py", "scoring.py", "pair.py", "typed.py"}
    tests = {f"test_{name}.py" for name in ("shout", "rewards", "outage", "clock", "own_fault")}
    assert set(PYTHON) == first | migrated | tests


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A reader's home, with the scripts of the README in it."""
    for name, text in PYTHON.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("BT_", "GANG"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "HOME": str(home), "PATH": path, "PYTHONPATH": str(ROOT)}


def run(home: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shlex.split(command), cwd=home, env=environment(home), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def commands() -> list[str]:
    lines = [
        line for block in BLOCKS if block.language == "bash" for line in block.text.splitlines()
    ]
    return [line for line in lines if line and not line.startswith(ELSEWHERE)]


@pytest.mark.parametrize(
    ("script", "printed"), [("pair.py", "5 True"), ("typed.py", "so it goes\n1 True")]
)
def test_what_needs_no_network_runs(home: Path, script: str, printed: str) -> None:
    done = run(home, f"python {script}")
    assert (done.returncode, done.stdout.strip()) == (0, printed), done.stderr


@pytest.mark.parametrize("miner_command", [line for line in commands() if "my_miner.py" in line])
def test_the_first_miner_and_the_first_validator_talk(home: Path, miner_command: str) -> None:
    for line in commands():
        if "wallet new" in line:
            made = run(home, line)
            assert made.returncode == 0, made.stderr
    command = miner_command.replace("--axon.port 10000", "--axon.port 0 --axon.ip 127.0.0.1")
    with subprocess.Popen(
        shlex.split(command), cwd=home, env=environment(home), stderr=subprocess.PIPE, text=True
    ) as miner:
        try:
            wait_until_served(home)
            answer = run(home, "python my_validator.py")
            assert "HELLO FROM A VALIDATOR !" in answer.stdout, answer.stderr
            assert " 200 " in answer.stdout
            flags = "--netuid 8 --wallet.hotkey validator"
            limits = "--neuron.steps 2 --neuron.step_interval 0"
            scored = run(home, f"python scoring.py {flags} {limits}")
            assert scored.returncode == 0, scored.stderr
            shown = run(home, f"ganglion scores export {flags} --what events --out e.csv")
            assert shown.returncode == 0, shown.stderr
            assert (home / "e.csv").read_text().count(",ok,") == 2
            for line in commands():
                if "ganglion query" in line:
                    asked = run(home, line)
                    assert asked.returncode == 0, asked.stderr
                    assert "HELLO" in asked.stdout
        finally:
            miner.terminate()
            _, log = miner.communicate(timeout=20)
    assert miner.returncode == 0, log


def test_the_tests_that_are_shown_pass(home: Path) -> None:
    (line,) = (line for line in commands() if line.startswith("pytest "))
    shown = {word for word in shlex.split(line) if word.endswith(".py")}
    assert shown == {name for name in PYTHON if name.startswith("test_")}
    options = "-W error -o asyncio_default_fixture_loop_scope=function -p no:cacheprovider"
    done = run(home, f"{line} {options}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(shown)} passed" in done.stdout


def wait_until_served(home: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        shown = run(home, "ganglion network show --netuid 8 --json")
        if '"axon": "127.0.0.1:' in shown.stdout:
            return
        time.sleep(0.2)
    pytest.fail(f"the miner did not appear on the network: {shown.stdout} {shown.stderr}")


def test_every_command_of_the_documentation_is_known(home: Path) -> None:
    for line in commands():
        words = shlex.split(line, comments=True)
        if words[0] == "ganglion":
            shown = run(home, f"ganglion {words[1]} --help")
            assert shown.returncode == 0, shown.stderr
            for flag in (word for word in words if word.startswith("--")):
                assert flag.partition("=")[0] in help_of(home, words), f"{flag} in {line!r}"


def help_of(home: Path, words: list[str]) -> str:
    names = [word for word in words[1:3] if not word.startswith("-")]
    shown = run(home, f"ganglion {' '.join(names)} --help")
    return shown.stdout + run(home, "ganglion --help").stdout


def after(diff: str, text: str) -> str:
    """Return a file with a diff block applied, whose context is all of the file that it names."""
    lines = [line or " " for line in diff.splitlines()]
    before = "".join(line[1:] + "\n" for line in lines if line[0] in " -")
    assert text.count(before) == 1, f"the diff does not fit: {before}"
    return text.replace(before, "".join(line[1:] + "\n" for line in lines if line[0] in " +"))


DIFFS = [block for block in BLOCKS if block.language == "diff"]


def test_the_first_step_of_migrating_is_the_one_line_that_its_files_have() -> None:
    (first,) = (block for block in DIFFS if not block.name)
    old, new = (line[1:] for line in first.text.splitlines())
    for name in ("subnet_protocol.py", "subnet_miner.py", "subnet_validator.py"):
        assert new in PYTHON[name].splitlines()
        assert old not in PYTHON[name]


@pytest.mark.parametrize("steps", [1, 2])
def test_the_migrated_subnet_runs_after_each_step(home: Path, steps: int) -> None:
    if steps == 2:
        for block in DIFFS:
            if block.name:
                (home / block.name).write_text(after(block.text, PYTHON[block.name]))
    lines = [line for line in commands() if "--wallet.name subnet" in line]
    *prepare, miner_command, validator_command = lines
    for line in prepare:
        done = run(home, line)
        assert done.returncode == 0, done.stderr
    command = miner_command.replace("--axon.port 10000", "--axon.port 0 --axon.ip 127.0.0.1")
    with subprocess.Popen(
        shlex.split(command), cwd=home, env=environment(home), stderr=subprocess.PIPE, text=True
    ) as miner:
        try:
            wait_until_served(home)
            answer = run(home, validator_command)
        finally:
            miner.send_signal(signal.SIGINT)
            _, log = miner.communicate(timeout=20)
    assert (miner.returncode, log) == (0, log), log
    assert answer.stderr == ""
    scores, success = answer.stdout.splitlines()
    assert (scores, success.partition(" ")[0]) == ("{1: 1.0}", "True")
