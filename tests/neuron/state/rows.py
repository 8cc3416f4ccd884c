"""Rows that a validator might save."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from node import Keypair
from node.neuron.state import Event, ScoreRow, Step

__all__ = ["ALICE", "HOTKEYS", "event", "save", "score", "step"]

ALICE = Keypair.from_uri("//Alice").ss58_address
HOTKEYS = [Keypair.from_uri(f"//peer{number}").ss58_address for number in range(6)]


def step(number: int, **changes: Any) -> Step:
    values: dict[str, Any] = {
        "block": 100 + number,
        "asked": 2,
        "answered": 1,
        "note": "",
        **changes,
    }
    return Step(number, number * 10, number * 10 + 5, **values)


def event(number: int, peer: int = 0, /, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "hotkey": HOTKEYS[peer],
        "reward": 0.5,
        "reason": "ok",
        "status": 200,
        **changes,
    }
    return Event(number, peer, **values)


def score(number: int, peer: int = 0, /, **changes: Any) -> ScoreRow:
    values: dict[str, Any] = {
        "hotkey": HOTKEYS[peer],
        "uid": peer,
        "score": number / 100,
        **changes,
    }
    return ScoreRow(updated_step=number, updated_ns=number * 10, **values)


def save(state: Any, number: int, uids: Sequence[int] = (0, 1), **changes: Any) -> None:
    """Save a step in which these uids were asked."""
    state.save_step(
        step(number), [event(number, uid, **changes) for uid in uids],
        [score(number, uid) for uid in uids],
    )  # fmt: skip
