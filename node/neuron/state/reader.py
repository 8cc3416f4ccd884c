"""Reading a state, also while a validator writes it."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from node import errors
from node.keys import normalise_address

from .faults import told
from .rows import Event, Identity, Point, Saved, ScoreRow, Standing, Step, WeightRow
from .schema import MIGRATIONS, check_known, connect, read_identity

__all__ = ["StateReader"]

DEFAULT_POINTS = 400


class StateReader:
    """Reads one state file. Holds nothing open between calls, and never writes.

    Each iterator sees the state as it was at its first item, opens a connection of its own and
    closes it at its end, or when it is closed. All methods block. May be used from several threads.

    Args:
        path: The file; a leading `~` is the home folder.

    Raises:
        errors.StateError: The file is not there, no validator made it, another version of Ganglion
            made it, or it can't be read. Every method raises it too.

    Attributes:
        path: The file, absolute.
        identity: Whose state it is.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        with self._reading() as connection:
            self.identity: Identity = read_identity(self.path, connection)

    def load(self) -> Saved:
        """What a validator goes on from."""
        with self._reading() as connection:
            return read_saved(connection)

    def steps(self) -> Generator[Step, None, None]:
        """The steps that are kept, in order."""
        return self._rows(_selected(Step, "steps ORDER BY step"), (), Step)

    def events(self, since_step: int = 0) -> Generator[Event, None, None]:
        """The events that are kept, by step.

        Args:
            since_step: The first step to tell of.
        """
        query = _selected(Event, "events WHERE step >= ? ORDER BY step, place")
        return self._rows(query, (since_step,), _event)

    def scores(self) -> Generator[ScoreRow, None, None]:
        """Every hotkey's score, by uid; those whose uid another one has come first."""
        return self._rows(_selected(ScoreRow, "scores ORDER BY uid, hotkey"), (), ScoreRow)

    def standings(self) -> Generator[Standing, None, None]:
        """As `scores`, with each hotkey's last event."""
        return self._rows(_selected(Standing, "scores ORDER BY uid, hotkey"), (), Standing)

    def weights(self) -> Generator[WeightRow, None, None]:
        """The weights that were set, oldest first."""
        query = (
            "SELECT block, set_ns, uid, weight FROM settings JOIN weights USING (setting) "
            "ORDER BY setting, uid"
        )
        return self._rows(query, (), WeightRow)

    def history(
        self, hotkeys: Collection[str] | None = None, *, points: int = DEFAULT_POINTS
    ) -> Generator[Point, None, None]:
        """How scores moved: for each hotkey its score after the steps in which it was asked.

        The steps that are kept are cut into `points` equal spans, and of each span a hotkey's last
        score is told. Of one hotkey the points come in order; those of several are mixed.

        Args:
            hotkeys: Addresses of any prefix; None tells of all.
            points: Most points for one hotkey, from 1.

        Raises:
            errors.ConfigError: `points` is below 1.
            errors.InvalidAddress: One of `hotkeys` is not an address.
        """
        if points < 1:
            raise errors.ConfigError(f"a history has 1 point or more, not {points}")
        wanted = None if hotkeys is None else {normalise_address(hotkey) for hotkey in hotkeys}
        return self._history(wanted, points)

    def _history(self, wanted: set[str] | None, points: int) -> Generator[Point, None, None]:
        with self._reading() as connection:
            first, last = connection.execute(
                "SELECT (SELECT min(step) FROM steps), (SELECT max(step) FROM steps)"
            ).fetchone()
            if first is None:
                return
            span = math.ceil((last - first + 1) / points)
            waiting: dict[str, Point] = {}
            query = (
                "SELECT step, uid, hotkey, score FROM events WHERE score IS NOT NULL "
                "ORDER BY step, place"
            )
            for row in connection.execute(query):
                point = Point(*row)
                if wanted is not None and point.hotkey not in wanted:
                    continue
                before = waiting.get(point.hotkey)
                if before and (before.step - first) // span != (point.step - first) // span:
                    yield before
                waiting[point.hotkey] = point
            yield from waiting.values()

    def _rows(self, query: str, values: Sequence[Any], make: Any) -> Generator[Any, None, None]:
        with self._reading() as connection:
            for row in connection.execute(query, values):
                yield make(*row)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection inside one read transaction."""
        with told(self.path):
            if not check_known(self.path):
                raise errors.StateError(
                    f"there is no state {self.path}; a validator makes it when it starts"
                )
            with closing(_connect_to_read(self.path)) as connection:
                connection.execute("BEGIN")
                _check_up_to_date(self.path, connection)
                yield connection

    def __repr__(self) -> str:
        return f"<StateReader {self.path}>"


def read_saved(connection: sqlite3.Connection) -> Saved:
    """What a validator goes on from, of an open connection.

    Raises:
        sqlite3.Error: It can't be read.
    """
    (step,) = connection.execute("SELECT coalesce(max(step), 0) FROM steps").fetchone()
    newest = "SELECT block FROM settings ORDER BY setting DESC LIMIT 1"
    (block,) = connection.execute(newest).fetchone() or (0,)
    rows = connection.execute(_selected(ScoreRow, "scores"))
    scores = {row[0]: ScoreRow(*row) for row in rows}
    return Saved(step, scores, block)


def _selected(row: type[Any], rest: str) -> str:
    """A query for a value's fields, whose names are those of the columns."""
    names = ", ".join(field.name for field in fields(row))
    return f"SELECT {names} FROM {rest}"  # noqa: S608 - only names of ours


def _event(step: int, uid: int, hotkey: str, reward: float | None, *rest: Any) -> Event:
    return Event(step, uid, hotkey, math.nan if reward is None else reward, *rest)


def _connect_to_read(path: Path) -> sqlite3.Connection:
    # In a folder that can't be written, SQLite can't make the index that a log needs to be read.
    # Without a log the file is all there is.
    if not Path(f"{path}-wal").exists() and not _can_write_beside(path):
        return connect(path, "mode=ro&immutable=1")
    return connect(path, "mode=ro")


def _can_write_beside(path: Path) -> bool:
    return os.access(path.parent, os.W_OK)


def _check_up_to_date(path: Path, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < len(MIGRATIONS):
        raise errors.StateError(
            f"state {path} was made by an older Ganglion (schema {version}, this one reads "
            f"{len(MIGRATIONS)}); start its validator once, which brings it up to date"
        )
