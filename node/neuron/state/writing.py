"""Rows put into an open transaction, and old ones taken out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from . import cells
from .rows import NO_UID, Event, ScoreRow, Step

__all__ = ["KEPT_SETTINGS", "forget", "put_events", "put_scores", "put_step", "put_weights"]

KEPT_SETTINGS = 100
"""Settings of weights that are kept."""

# Steps that are forgotten at once at most, so that a smaller `keep_steps` does not make one step
# pay for all that is no longer kept.
FORGOTTEN_AT_ONCE = 50

_Row = tuple[Any, ...]

_EVENT_FIELDS = [field.name for field in fields(Event)]
_PUT_EVENT = (
    f"INSERT INTO events (place, score, {', '.join(_EVENT_FIELDS)}) "  # noqa: S608 - names of ours
    f"VALUES (?, ?{', ?' * len(_EVENT_FIELDS)})"
)
_LEAVE_UID = "UPDATE scores SET uid = -1 WHERE uid = ? AND hotkey <> ?"
_PUT_SCORE = """
    INSERT INTO scores (hotkey, uid, score, updated_step, updated_ns) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (hotkey) DO UPDATE SET uid = excluded.uid, score = excluded.score,
        updated_step = excluded.updated_step, updated_ns = excluded.updated_ns"""
_PUT_LAST_EVENT = """
    UPDATE scores SET reward = ?, reason = ?, answered_ns = coalesce(?, answered_ns)
    WHERE hotkey = ?"""
_PUT_SETTING = "INSERT INTO settings (block, set_ns) VALUES (?, ?)"


def put_step(connection: sqlite3.Connection, step: Step) -> None:
    """Add a step.

    Raises:
        sqlite3.IntegrityError: There is one of that number.
        sqlite3.Error: It can't be written.
    """
    row = (
        step.step,
        cells.integer(step.started_ns),
        cells.integer(step.ended_ns),
        cells.integer(step.block),
        cells.integer(step.asked),
        cells.integer(step.answered),
        cells.text(step.note),
    )
    connection.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def put_events(
    connection: sqlite3.Connection,
    step: Step,
    events: Sequence[Event],
    scores: Sequence[ScoreRow],
) -> None:
    """Add a step's events, each with the score that its hotkey then had.

    Raises:
        sqlite3.Error: They can't be written.
    """
    moved = {row.hotkey: row.score for row in scores}
    connection.executemany(
        _PUT_EVENT,
        (
            (place, cells.optional_number(moved.get(event.hotkey)), *_event_row(step, event))
            for place, event in enumerate(events)
        ),
    )
    connection.executemany(_PUT_LAST_EVENT, (_last_event_row(step, event) for event in events))


def put_scores(connection: sqlite3.Connection, scores: Sequence[ScoreRow]) -> None:
    """Add or replace scores. Of two hotkeys with one uid, the one that moved last has it.

    Raises:
        sqlite3.Error: They can't be written.
    """
    for row in sorted(scores, key=attrgetter("updated_step")):
        uid = cells.integer(row.uid)
        if uid != NO_UID:
            connection.execute(_LEAVE_UID, (uid, row.hotkey))
        score = cells.number(row.score)
        values = (row.hotkey, uid, score, row.updated_step, row.updated_ns)
        connection.execute(_PUT_SCORE, values)


def put_weights(
    connection: sqlite3.Connection,
    block: int,
    set_ns: int,
    weights: Iterable[tuple[int, float]],
) -> None:
    """Add a setting of weights, and drop those that are older than the 100 newest.

    Raises:
        sqlite3.Error: It can't be written.
    """
    setting = connection.execute(_PUT_SETTING, (block, set_ns)).lastrowid or 0
    rows = ((setting, int(uid), cells.number(weight)) for uid, weight in weights)
    connection.executemany("INSERT INTO weights VALUES (?, ?, ?)", rows)
    last = (setting - KEPT_SETTINGS,)
    connection.execute("DELETE FROM weights WHERE setting <= ?", last)
    connection.execute("DELETE FROM settings WHERE setting <= ?", last)


def forget(connection: sqlite3.Connection, keep_steps: int) -> None:
    """Drop steps that are older than the newest `keep_steps`, a bounded number at once.

    With them go the scores of hotkeys whose uid another one has for as long.

    Raises:
        sqlite3.Error: They can't be dropped.
    """
    oldest, newest = connection.execute(
        "SELECT (SELECT min(step) FROM steps), (SELECT max(step) FROM steps)"
    ).fetchone()
    last = newest - keep_steps
    if last >= oldest:
        some = (min(last, oldest + FORGOTTEN_AT_ONCE - 1),)
        connection.execute("DELETE FROM events WHERE step <= ?", some)
        connection.execute("DELETE FROM steps WHERE step <= ?", some)
    gone = "DELETE FROM scores WHERE uid = ? AND updated_step <= ?"
    connection.execute(gone, (NO_UID, last))


def _event_row(step: Step, event: Event) -> _Row:
    return (
        step.step,
        cells.integer(event.uid),
        event.hotkey,
        cells.optional_number(event.reward),
        cells.text(event.reason),
        cells.integer(event.status),
        cells.optional_number(event.first_byte_s),
        cells.optional_number(event.total_s),
        cells.optional_integer(event.tokens),
        cells.integer(event.chunks),
        cells.integer(event.bytes),
        cells.optional_number(event.tokens_per_s),
    )


def _last_event_row(step: Step, event: Event) -> _Row:
    has_answered = 200 <= cells.integer(event.status) < 300
    answered_ns = cells.integer(step.ended_ns) if has_answered else None
    reward = cells.optional_number(event.reward)
    return reward, cells.text(event.reason), answered_ns, event.hotkey
