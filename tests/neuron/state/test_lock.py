from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node import errors
from node.neuron.state import StateReader, ValidatorState

from .rows import ALICE, save

Open = Callable[..., ValidatorState]

HOLDER = """
import sys
from node.neuron.state import ValidatorState
state = ValidatorState(sys.argv[1], netuid=8, hotkey=sys.argv[2], network="local").open()
print("open", flush=True)
sys.stdin.read()
"""

FORKING_HOLDER = """
import os, sys
from node.neuron.state import ValidatorState
state = ValidatorState(sys.argv[1], netuid=8, hotkey=sys.argv[2], network="local").open()
child = os.fork()
if child:
    print(child, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the state open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), ALICE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_second_validator_is_refused(opened: Open, path: Path) -> None:
    state = opened()
    save(state, 1)
    with pytest.raises(errors.StateError, match=f"in use .*process {os.getpid()}.*name another"):
        opened()
    save(state, 2)
    assert state.load().step == 2


def test_a_second_process_is_refused(holder: subprocess.Popen[str], opened: Open) -> None:
    with pytest.raises(errors.StateError, match=f"process {holder.pid}"):
        opened()


def test_a_killed_process_locks_nobody_out(holder: subprocess.Popen[str], opened: Open) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    save(opened(), 1)


def test_closing_lets_the_next_one_in(opened: Open) -> None:
    first = opened()
    first.close()
    second = opened()
    with pytest.raises(errors.StateError, match="in use"):
        first.open()
    second.close()
    assert first.open().load().step == 0


def test_two_names_of_one_file_have_one_lock(opened: Open, path: Path) -> None:
    opened()
    other = path.with_name("other.db")
    other.symlink_to(path)
    with pytest.raises(errors.StateError, match="in use"):
        opened(path=other)


def test_readers_need_no_lock(holder: subprocess.Popen[str], path: Path) -> None:
    assert StateReader(path).identity.hotkey == ALICE


def test_a_lock_that_is_another_file_is_told_and_left_alone(opened: Open, path: Path) -> None:
    opened().close()
    lock = path.with_name(f"{path.name}.lock")
    lock.write_bytes(b"not empty" * 1000)
    with pytest.raises(errors.StateError, match="should be the empty file"):
        opened()
    assert lock.read_bytes() == b"not empty" * 1000


def test_a_child_that_outlives_a_killed_validator_does_not_keep_the_lock(
    opened: Open, path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING_HOLDER, str(path), ALICE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        assert opened().load().step == 0
        os.kill(child, 0)  # it is still there
        assert process.stdin is not None
