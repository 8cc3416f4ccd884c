"""A validator's memory: one SQLite file, one transaction a step."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from node import errors
from node.keys import normalise_address

from .faults import told
from .lock import StateLock
from .place import without_password
from .reader import DEFAULT_POINTS, StateReader, read_saved
from .rows import Event, Identity, Point, Saved, ScoreRow, Standing, Step, WeightRow
from .schema import (
    check_identity,
    check_known,
    check_whole,
    connect,
    create,
    migrate,
    read_identity,
)
from .writing import forget, put_events, put_scores, put_step, put_weights

__all__ = ["ValidatorState"]

_LOG_BYTES = 2**24


class ValidatorState:
    """What a validator must not lose, in one file.

    What was saved stays: a process that is killed, and a machine that loses its power, lose at most
    what was not saved yet, and never leave half a step. Every method blocks. They may be called
    from several threads; writing is done one at a time. Whoever opens it closes it, by `close` or
    `with`.

    Args:
        path: The file, made by `open` where missing; a leading `~` is the home folder.
        netuid: The subnet.
        hotkey: The validator's own address, any prefix.
        network: Name of the network. A password in it is not stored.
        keep_steps: How many steps are kept, with their events, counted by their numbers from the
            newest; from 1. The scores of hotkeys whose uid another one has are kept for as many.
        clock: Returns Unix nanoseconds.

    Attributes:
        path: The file, absolute.
        identity: Whose state it is.

    Raises:
        errors.ConfigError: `keep_steps` is below 1.
        errors.InvalidAddress: `hotkey` is not an address.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        netuid: int,
        hotkey: str,
        network: str,
        keep_steps: int = 10_000,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        if keep_steps < 1:
            raise errors.ConfigError(f"a state keeps 1 step or more, not {keep_steps}")
        self.path = Path(path).expanduser().absolute()
        self.identity = Identity(netuid, normalise_address(hotkey), without_password(network))
        self._keep_steps = keep_steps
        self._clock = clock
        self._lock = StateLock(self.path)
        self._using = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @staticmethod
    def read_only(path: str | Path) -> StateReader:
        """A reader of the file, which needs no lock and works while a validator writes.

        Raises:
            errors.StateError: As `StateReader`.
        """
        return StateReader(path)

    def open(self) -> Self:
        """Make the file or check it, and lock it; does nothing when it is open.

        The file gets mode 0600, folders that are missing 0700. Beside it are a file that is its
        lock and, while it is open, SQLite's log. A file of an older version is brought up to date.
        All of the file is read once.

        Returns:
            This state.

        Raises:
            errors.StateError: Another validator has it open; or it is of another hotkey, subnet or
                network, of a newer version, damaged, or no validator's state, and then it is as it
                was; or it can't be made or opened.
        """
        with self._using, told(self.path):
            if self._connection is None:
                # Before the lock, so that nothing is put beside a file that is not ours.
                check_known(self.path)
                _make_folder(self.path.parent)
                if not self._lock.take():
                    raise self._in_use()
                try:
                    self._connection = self._prepared()
                finally:
                    if self._connection is None:
                        self._lock.release()
        return self

    def close(self) -> None:
        """Close the file and let others in; safe to call twice.

        Raises:
            errors.StateError: What was saved can't be moved from the log to the file; it is safe
                in the log.
        """
        with self._using, told(self.path):
            connection, self._connection = self._connection, None
            try:
                if connection is not None:
                    connection.close()
            finally:
                self._lock.release()

    def load(self) -> Saved:
        """What to go on from.

        Raises:
            errors.StateError: It is not open, or can't be read.
        """
        with self._using, told(self.path):
            return read_saved(self._opened())

    def save_step(self, step: Step, events: Sequence[Event], scores: Sequence[ScoreRow]) -> None:
        """Save a step, all of it or nothing.

        Numbers that can't be stored are not refused: what is no finite number becomes 0, NaN or
        None, as the field has it, and texts are cut to 500 characters.

        Args:
            step: Its number must be one that no saved step has.
            events: What became of each peer. Their `step` is this one's.
            scores: The hotkeys whose scores moved. One whose uid another hotkey had takes it over.

        Raises:
            errors.StateError: It is not open or can't be written, or the step is there already.
                Nothing has changed, and the call may be made again.
        """
        with self._writing() as connection:
            try:
                put_step(connection, step)
            except sqlite3.IntegrityError as error:
                raise errors.StateError(
                    f"state {self.path} has a step {step.step} already"
                ) from error
            put_scores(connection, scores)
            put_events(connection, step, events, scores)
            forget(connection, self._keep_steps)

    def save_weights(self, block: int, uids: Sequence[int], weights: Sequence[float]) -> None:
        """Save weights that were set; the 100 newest settings are kept.

        Args:
            block: The block at which they were set.
            uids: Whom they are for, none twice.
            weights: One for each.

        Raises:
            errors.ConfigError: The lists are of different lengths, or have a uid twice.
            errors.StateError: It is not open or can't be written; nothing has changed.
        """
        if len(uids) != len(weights) or len(set(uids)) != len(uids):
            raise errors.ConfigError("weights are saved with one uid for each, and none twice")
        with self._writing() as connection:
            pairs = zip(uids, weights, strict=True)
            put_weights(connection, block, self._clock(), pairs)

    def steps(self) -> Generator[Step, None, None]:
        """As `StateReader.steps`."""
        return StateReader(self.path).steps()

    def events(self, since_step: int = 0) -> Generator[Event, None, None]:
        """As `StateReader.events`."""
        return StateReader(self.path).events(since_step)

    def scores(self) -> Generator[ScoreRow, None, None]:
        """As `StateReader.scores`."""
        return StateReader(self.path).scores()

    def standings(self) -> Generator[Standing, None, None]:
        """As `StateReader.standings`."""
        return StateReader(self.path).standings()

    def weights(self) -> Generator[WeightRow, None, None]:
        """As `StateReader.weights`."""
        return StateReader(self.path).weights()

    def history(
        self, hotkeys: Collection[str] | None = None, *, points: int = DEFAULT_POINTS
    ) -> Generator[Point, None, None]:
        """As `StateReader.history`."""
        return StateReader(self.path).history(hotkeys, points=points)

    def _prepared(self) -> sqlite3.Connection:
        """The connection, after every check; the caller has the lock."""
        if not check_known(self.path):
            create(self.path, self.identity)
        check_whole(self.path)
        connection = connect(self.path, "mode=rw")
        try:
            check_identity(self.path, read_identity(self.path, connection), self.identity)
            migrate(self.path, connection)
            # A step is saved every few seconds, so that waiting for the disk costs nothing.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            connection.execute("UPDATE validator SET process = ?", (os.getpid(),))
        except BaseException:
            connection.close()
            raise
        return connection

    def _in_use(self) -> errors.StateError:
        process = ""
        with suppress(errors.StateError, sqlite3.Error):
            process = f" (process {_process_of(self.path)})"
        return errors.StateError(
            f"state {self.path} is in use by another validator{process}; end that one, or name "
            "another file"
        )

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise errors.StateError(f"state {self.path} is not open")
        return self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._using, told(self.path):
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ValidatorState {self.path}>"


def _process_of(path: Path) -> int:
    with closing(connect(path, "mode=ro")) as connection:
        (process,) = connection.execute("SELECT process FROM validator").fetchone()
    return int(process)


def _make_folder(folder: Path) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
