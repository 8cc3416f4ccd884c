"""A program that saves step after step until it is killed.

`writer.py FILE` does so; `writer.py FOLDER all` runs a child for each statement that is sent to
SQLite, in files of their own, which kills itself before that statement, until one has saved two
steps. What is saved is worked out from the number of the step, so that a test knows what must be
there.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from node.neuron.state import Event, ScoreRow, Step, ValidatorState, schema, validator_state
from tests.neuron.state.rows import ALICE, HOTKEYS

KEEP_STEPS = 40
UIDS = 20
CHILD_STEPS = 2
CHILD_UIDS = 3


def write(path: Path, uids: int, until: float = float("inf")) -> None:
    """Save steps of so many peers, each told on stdout once it is saved."""
    state = ValidatorState(path, netuid=8, hotkey=ALICE, network="local", keep_steps=KEEP_STEPS)
    number = state.open().load().step
    while number < until:
        number += 1
        save(state, number, uids)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    state.close()


def save(state: ValidatorState, number: int, uids: int) -> None:
    events = [
        Event(number, uid, HOTKEYS[uid % len(HOTKEYS)], reward_of(number, uid), "ok", 200)
        for uid in range(uids)
    ]
    scores = [
        ScoreRow(hotkey, uid, number / 1000, number, number)
        for uid, hotkey in enumerate(HOTKEYS[:uids])
    ]
    state.save_step(Step(number, number, number, number, uids, uids), events, scores)
    if number % 5 == 0:
        state.save_weights(number, range(uids), [number / 1000] * uids)


def reward_of(number: int, uid: int) -> float:
    return (number * UIDS + uid) / 1e6


def killed_before(statement: int) -> Callable[..., sqlite3.Connection]:
    """Return a `connect` whose connections kill this process before that statement of theirs."""
    count = 0

    def tell(text: str) -> None:
        nonlocal count
        count += 1
        if count == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(*values: object, **options: object) -> sqlite3.Connection:
        connection = CONNECT(*values, **options)  # type: ignore[arg-type]
        connection.set_trace_callback(tell)
        return connection

    return connect


CONNECT = schema.connect


def write_in_children(folder: Path) -> None:
    """Run a child for each statement; tell how many there were."""
    statement = 0
    while True:
        statement += 1
        child = os.fork()
        if child == 0:
            connect = killed_before(statement)
            for module in (schema, validator_state):
                module.__dict__["connect"] = connect
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            write(folder / str(statement) / "state.db", CHILD_UIDS, CHILD_STEPS)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
    print(statement)


if __name__ == "__main__":
    if sys.argv[2:] == ["all"]:
        write_in_children(Path(sys.argv[1]))
    else:
        write(Path(sys.argv[1]), UIDS)
