"""What a validator tells its board, and what a log gets of it."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from node.neuron.board import Board, LogBoard, QuietBoard, Tally, counted


def play(board: Board) -> None:
    """One step as a validator tells it."""
    board.begin_step(7)
    board.synced(100, 160)
    board.asked([(0, "5A"), (1, "5B"), (2, "5C")])
    for uid in range(3):
        board.replied(uid)
    board.judged(0, 1.0, "ok", 0.2, 180.0)
    board.judged(1, 0.5, "ok", 0.4)
    board.judged(2, 0.0, "unreachable")
    board.weights_set(161)
    board.end_step(7, "weights late", [(0, "5A", 0.9)])


def test_the_log_has_one_line_a_step(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "node.neuron.board"), LogBoard() as board:
        play(board)
    assert caplog.messages == [
        "step 7: mean reward 0.500, median first byte 300 ms; ok 2, unreachable 1"
    ]


def test_a_step_without_verdicts_has_no_line(caplog: pytest.LogCaptureFixture) -> None:
    board: Board = LogBoard()
    with caplog.at_level(logging.INFO, "node.neuron.board"):
        board.begin_step(1)
        board.end_step(1, "nobody to ask")
        board.judged(0, 1.0, "ok")
        board.end_step(1)
        board.begin_step(2)
        board.judged(0, 0.0, "dormant")
        board.end_step(2)
    assert caplog.messages == ["step 2: mean reward 0.000, median first byte -; dormant 1"]


def test_a_quiet_board_says_nothing(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), QuietBoard() as board:
        play(board)
    assert (caplog.messages, *capsys.readouterr()) == ([], "", "")


def test_a_tally_without_verdicts_has_no_mean() -> None:
    tally = Tally(1)
    assert (tally.judged, tally.mean_reward, tally.median_first_byte_s) == (0, None, None)


def test_reasons_are_counted_with_ok_first() -> None:
    reasons = Counter({"zz": 2, "aa": 2, "ok": 1, "odd\x1b\n": 9})
    assert counted(reasons) == "ok 1, odd\\x1b\\n 9, aa 2, zz 2"
