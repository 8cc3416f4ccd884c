"""Every code block of the documentation runs, as a reader would run it."""

from __future__ import annotations

import os
import re
import shlex
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
    assert set(PYTHON) == {"my_miner.py", "my_validator.py", "pair.py"}


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


def test_the_pair_runs(home: Path) -> None:
    done = run(home, "python pair.py")
    assert (done.returncode, done.stdout.strip()) == (0, "5 True"), done.stderr


@pytest.mark.parametrize("miner_command", [line for line in commands() if "miner.py" in line])
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
            for line in commands():
                if "ganglion query" in line:
                    asked = run(home, line)
                    assert asked.returncode == 0, asked.stderr
                    assert "HELLO" in asked.stdout
        finally:
            miner.terminate()
            _, log = miner.communicate(timeout=20)
    assert miner.returncode == 0, log


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
