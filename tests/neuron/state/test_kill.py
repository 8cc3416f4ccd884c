"""A validator that is killed at any moment loses at most the step that it was saving."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from node.neuron.state import StateReader, ValidatorState

from .rows import ALICE
from .writer import CHILD_STEPS, CHILD_UIDS, KEEP_STEPS, UIDS, reward_of

KILLS = 15
ROOT = Path(__file__).parents[3]
WRITER = [sys.executable, str(Path(__file__).with_name("writer.py"))]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def killed_after(path: Path, seconds: float) -> int:
    """Let a writer run for a time from its first saved step on; return its last one."""
    told: list[str] = []
    process = subprocess.Popen(
        [*WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    with process:
        assert process.stdout is not None
        lines = process.stdout
        told.append(lines.readline())
        reader = threading.Thread(target=lambda: told.extend(lines))
        reader.start()
        time.sleep(seconds)
        process.kill()
        reader.join()
    # The last line may be half written; then its step is saved, but was not told.
    return max(int(line) for line in told if line.endswith("\n"))


def check(path: Path, uids: int) -> int:
    """Nothing is there in part; return the last step."""
    found = StateReader(path)
    saved = found.load()
    steps = [row.step for row in found.steps()]
    assert steps == list(range(max(1, saved.step - KEEP_STEPS + 1), saved.step + 1))
    events = [(row.step, row.uid, row.reward) for row in found.events()]
    assert events == [
        (number, uid, reward_of(number, uid)) for number in steps for uid in range(uids)
    ]
    assert {row.score for row in saved.scores.values()} <= {saved.step / 1000}
    # Weights are a transaction of their own: one may be lost, and none is there in part.
    blocks = [row.block for row in found.weights()]
    assert all(blocks.count(block) == uids for block in blocks)
    assert saved.last_weights_block == (blocks or [0])[-1]
    assert saved.last_weights_block <= saved.step
    return saved.step


def test_kill_at_random_moments_loses_at_most_the_current_step(tmp_path: Path) -> None:
    path, rng = tmp_path / "state.db", random.Random()
    last = 0
    for _ in range(KILLS):
        told = killed_after(path, rng.uniform(0.0, 0.06))
        now = check(path, UIDS)
        assert now in (told, told + 1)
        assert now > last
        last = now
    with ValidatorState(path, netuid=8, hotkey=ALICE, network="local") as state:
        assert state.load().step == last
    assert not path.with_name(f"{path.name}-wal").exists()


def test_kill_before_any_statement_from_the_making_of_the_file_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [*WRITER, str(tmp_path), "all"],
        stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, check=True, timeout=120,
    )  # fmt: skip
    statements = int(done.stdout)
    last_steps = []
    for number in range(1, statements + 1):
        path = tmp_path / str(number) / "state.db"
        with ValidatorState(path, netuid=8, hotkey=ALICE, network="local") as state:
            last_steps.append(state.load().step)
        assert check(path, CHILD_UIDS) == last_steps[-1]
    # Every step was once the one that was lost, and the last child was not killed.
    assert last_steps == sorted(last_steps)
    assert set(last_steps) == set(range(CHILD_STEPS + 1))
    assert statements > 40
