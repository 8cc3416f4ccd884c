"""The live board: what it keeps, what it draws in terminals of any size, and the log beside it."""

from __future__ import annotations

import io
import logging
import sys
import time

import pytest
from rich.console import Console

from node.commands.board import LiveBoard, board_for
from node.commands.board_state import BoardState
from node.commands.board_view import draw_board
from node.neuron.board import LogBoard
from tests.neuron.test_board import play


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(clock: Clock) -> BoardState:
    """One step of 40 peers, of which every fifth failed; then a second one that is under way."""
    state = BoardState(clock)
    peers = [(uid, f"5Hotkey{uid:04}Address") for uid in range(40)]
    for step in (1, 2):
        state.begin_step(step)
        state.synced(1000 + step, 1101)
        state.asked(peers)
        for uid in range(40 if step == 1 else 10):
            state.replied()
            good = uid % 5 > 0
            state.judged(uid, 0.5 * good, "ok" if good else "[b]odd\x1b[2J", 0.25 if good else None,
                         150.0 if good else None)  # fmt: skip
        clock.now += 2.5
        if step == 1:
            state.end_step("metagraph not read", [(uid, key, uid / 40) for uid, key in peers])
    return state


def drawn(state: BoardState, width: int, height: int) -> list[str]:
    """The lines of a drawing, which must fit."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(draw_board(state, width, height))
    lines = capture.get().rstrip("\n").split("\n")
    assert len(lines) < max(height, 8)
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


def test_the_best_and_the_worst_are_kept_in_order(state: BoardState) -> None:
    assert [line.uid for line in state.best] == list(range(39, 19, -1))
    assert [line.uid for line in state.worst] == list(range(19, -1, -1))
    assert (state.scored, state.steps) == (40, 1)
    assert state.totals == {"ok": 32, "[b]odd\x1b[2J": 8}


def test_a_uid_that_changed_hands_starts_anew(state: BoardState) -> None:
    assert state.best[0].reason == "ok"
    state.asked([(39, "5Another")])
    state.end_step("", [(39, "5Another", 0.7)])
    (line,) = state.best
    assert (line.hotkey, line.score, line.reason, line.reward) == ("5Another", 0.7, "", None)


def test_a_step_takes_as_long_as_it_runs(state: BoardState, clock: Clock) -> None:
    assert state.step_s == 2.5
    clock.now += 1
    assert state.step_s == 3.5
    state.end_step("", [])
    clock.now += 10
    assert (state.step_s, state.total_s) == (3.5, 16.0)


def test_a_wide_terminal_shows_everything(state: BoardState) -> None:
    lines = drawn(state, 140, 40)
    assert lines[0] == "step 2 · block 1,002 · weights in 99 blocks (19 min) · up 5 s"
    assert lines[1].endswith("10/40 replied, 2.5 s")
    assert lines[2] == "10 judged, mean reward 0.400, median first byte 250 ms"
    headings = "uid hotkey score reward first byte tokens/s reason reason this step in all"
    assert " ".join(lines[4].split()) == headings
    assert lines[6].split()[:8] == ["39", "5Hotke…ress", "0.975", "0.500", "250", "ms", "150", "ok"]
    assert lines[6].split()[8:] == ["ok", "8", "40"]
    assert lines[7].split()[-3:] == ["[b]odd\\x1b[2J", "2", "10"]
    assert lines[-1] == "best 10, worst 10 of 40 peers"


@pytest.mark.parametrize("width", [24, 40, 56, 80, 118, 240])
@pytest.mark.parametrize("height", [6, 12, 24, 60])
def test_it_fits_any_terminal(state: BoardState, width: int, height: int) -> None:
    lines = drawn(state, width, height)
    assert lines[0].startswith("step 2")
    state.end_step("a note that is longer than most terminals are wide, by a good deal " * 3, [])
    drawn(state, width, height)


def test_a_narrow_terminal_keeps_uid_score_and_reason(state: BoardState) -> None:
    lines = drawn(state, 40, 30)
    assert lines[1].startswith("weights in 99 blocks")
    assert "ok 8  [b]odd\\x1b[2J 2" in lines
    assert ["uid", "score", "reason"] in [line.split() for line in lines]


def test_few_peers_are_one_list(clock: Clock) -> None:
    state = BoardState(clock)
    state.begin_step(1)
    state.asked([(3, "5C"), (4, "5D")])
    state.judged(3, 0.1, "ok", None, None)
    state.end_step("", [(3, "5C", 0.1), (4, "5D", 0.2)])
    lines = drawn(state, 80, 24)
    assert [line.split()[0] for line in lines if line][-2:] == ["4", "3"]
    assert "worst" not in " ".join(lines)


def test_while_nobody_has_a_score_there_are_only_reasons(clock: Clock) -> None:
    state = BoardState(clock)
    state.begin_step(1)
    state.asked([(3, "5C")])
    state.judged(3, 0.0, "bad_reply", None, None)
    for _ in range(2):
        lines = drawn(state, 130, 24)
        assert "uid" not in " ".join(lines)
        assert ["bad_reply", "1", "1"] in [line.split() for line in lines]
        state.end_step("", [])
    assert drawn(state, 80, 24)[3] == "bad_reply 1"


def test_before_anything_happened(clock: Clock) -> None:
    assert drawn(BoardState(clock), 80, 24)[0] == "starting · up 0 s"


def test_weights_that_are_due_or_not_set(state: BoardState) -> None:
    state.synced(1101, 1101)
    state.weights_set_block = 900
    assert "weights due, last at 900" in drawn(state, 100, 24)[0]
    state.synced(1102, None)
    assert "sets no weights" in drawn(state, 100, 24)[0]


def test_lines_of_the_log_go_above_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    handler = logging.StreamHandler(terminal)
    logger = logging.getLogger()
    logger.addHandler(handler)
    try:
        board = LiveBoard(Console(file=terminal, force_terminal=True, width=100, height=30))
        with board:
            assert handler.stream is not terminal
            logging.getLogger("node.neuron.x").warning("a [bold]line[/bold] of the log")
            play(board)
            time.sleep(0.3)  # the drawing thread comes by
    finally:
        logger.removeHandler(handler)
    assert handler.stream is terminal
    assert sys.stderr is terminal
    written = terminal.getvalue()
    assert "a [bold]line[/bold] of the log" in written
    assert "step 7" in written
    assert "note: weights late" in written
    assert written.endswith("\x1b[?25h"), "the cursor is shown again"


def test_the_terminal_is_put_back_after_an_error() -> None:
    terminal = Terminal()
    with (
        pytest.raises(ZeroDivisionError),
        LiveBoard(Console(file=terminal, force_terminal=True)),
    ):
        raise ZeroDivisionError
    assert terminal.getvalue().endswith("\x1b[?25h")


def test_the_board_suits_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(board_for(Terminal()), LiveBoard)
    assert isinstance(board_for(io.StringIO()), LogBoard)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(board_for(Terminal()), LogBoard)
