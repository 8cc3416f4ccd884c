"""Processes that are kept alive, told to end, and never left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.errors import ConfigError
from node.neuron.supervisor import Supervisor

from .supervised import COUNT

ROOT = Path(__file__).parents[2]
WAIT_S = 20.0


class Supervised:
    """A supervisor's process and what its workers said."""

    def __init__(self, work: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.neuron.supervised", work],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def said(self, number: int, what: str) -> list[int]:
        """Return the processes of a worker that said something."""
        found = (re.fullmatch(rf"{number} (\d+) {what}", line) for line in list(self.lines))
        return [int(match[1]) for match in found if match]

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, self.text
            time.sleep(0.01)

    def until_all_serve(self) -> list[int]:
        self.until(lambda: all(self.said(number, "ready") for number in range(COUNT)))
        return [self.said(number, "ready")[-1] for number in range(COUNT)]

    def end(self) -> int:
        """Wait until it and all that have its output have ended; return the exit code."""
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)  # the output closes with the last worker
        assert not self._reader.is_alive(), "a worker was left behind"
        return code


@contextmanager
def supervised(work: str) -> Iterator[Supervised]:
    program = Supervised(work)
    try:
        yield program
    finally:
        program.process.kill()  # its workers see it and end
        program.end()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_all_end(number: signal.Signals) -> None:
    with supervised("idle") as program:
        pids = program.until_all_serve()
        program.process.send_signal(number)
        assert program.end() == 0
        assert [len(program.said(each, number.name)) for each in range(COUNT)] == [1] * COUNT
        assert not any(map(is_there, pids))


def test_ctrl_c_reaches_each_worker_once() -> None:
    with supervised("idle") as program:
        program.until_all_serve()
        os.killpg(program.process.pid, signal.SIGINT)  # as a terminal does
        assert program.end() == 0
        assert [len(program.said(each, "SIGINT")) for each in range(COUNT)] == [1] * COUNT


def test_a_worker_that_dies_is_replaced_and_leaves_no_zombie() -> None:
    with supervised("idle") as program:
        pids = program.until_all_serve()
        for victim in (pids[2], pids[0]):
            os.kill(victim, signal.SIGKILL)
        program.until(lambda: all(len(program.said(each, "ready")) == 2 for each in (0, 2)))
        assert not any(map(is_there, (pids[2], pids[0])))  # a zombie would still be there
        assert program.said(1, "ready") == [pids[1]]
        assert "was killed by SIGKILL" in program.text
        program.process.terminate()
        assert program.end() == 0


def test_one_that_dies_again_and_again_ends_all() -> None:
    with supervised("second_dies") as program:
        assert program.end() == 1
        assert len(program.said(1, "dies")) == 5
        assert len(program.said(0, "SIGTERM")) == len(program.said(2, "SIGTERM")) == 1
        pauses = [float(text) for text in re.findall(r"starts again in ([\d.]+) s", program.text)]
        assert pauses == [0.02, 0.04, 0.08, 0.16]


def test_what_fails_at_the_start_fails_once() -> None:
    with supervised("fails_at_start") as program:
        assert program.end() == 2
        assert len(program.said(0, "fails")) == 1
        assert not program.said(1, "fails")


def test_an_exception_ends_the_worker_and_never_runs_on_as_the_parent() -> None:
    with supervised("raises_at_start") as program:
        assert program.end() == 1
        assert program.text.count("ZeroDivisionError: worker 0") == 1


def test_when_the_parent_is_killed_the_workers_see_it() -> None:
    with supervised("idle") as program:
        program.until_all_serve()
        program.process.kill()
        program.until(lambda: all(program.said(each, "alone") for each in range(COUNT)))
        program.end()


def test_a_worker_that_talks_nonsense_is_let_go_and_replaced() -> None:
    with supervised("talks_nonsense") as program:
        program.until_all_serve()
        assert "worker 1 is not understood" in program.text
        assert "ended with 5" in program.text


def test_a_worker_that_reads_no_answers_holds_up_nobody() -> None:
    with supervised("reads_no_answers") as program:
        program.until_all_serve()
        assert "worker 1 reads no answers" in program.text


def test_all_workers_have_one_memory() -> None:
    with supervised("takes_in_turn") as program:
        program.until_all_serve()
        took = [int(each) for each in re.findall(r"took (\d+)", program.text)]
        assert (len(took), sum(took)) == (COUNT, 200)


def test_each_worker_undoes_what_is_the_parents() -> None:
    with supervised("idle") as program:
        pids = program.until_all_serve()
        assert sorted(program.said(0, "forked")) == sorted(pids)
        program.process.terminate()
        program.end()
        assert program.text.count("before the workers") == 1


def test_a_thread_that_runs_already_is_refused() -> None:
    with supervised("with_thread") as program:
        assert program.end() == 2
        assert "threads run already" in program.text
        assert "early" in program.text


def test_a_system_without_fork_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(ConfigError, match=r"no fork, which --axon\.workers needs"):
        Supervisor(lambda number, link: 0, 2)
