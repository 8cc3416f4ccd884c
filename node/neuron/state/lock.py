"""One validator at a time on one state."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from node import errors

from .faults import result_code
from .schema import connect

__all__ = ["StateLock"]


class StateLock:
    """A lock that ends with its process, however that ends.

    It is an empty file beside the state, locked by SQLite, whose locks hold between two objects of
    one process too, are not inherited by a fork, and work on every system that Python does. The
    file stays; removing it would let two in.

    Args:
        path: The state's file. Two names of one file have one lock.
    """

    def __init__(self, path: Path) -> None:
        real = path.resolve()
        self.path = real.with_name(f"{real.name}.lock")
        self._connection: sqlite3.Connection | None = None

    def take(self) -> bool:
        """Take the lock; False where another one has it.

        Raises:
            errors.StateError: The lock's file is not one.
            sqlite3.Error, OSError: It can't be made or opened.
        """
        os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = connect(self.path, "mode=rw", 0.0)
        try:
            connection.execute("PRAGMA journal_mode = MEMORY")  # else another file comes and goes
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            connection.close()
            if result_code(error) == sqlite3.SQLITE_BUSY:
                return False
            if result_code(error) == sqlite3.SQLITE_NOTADB:
                raise errors.StateError(
                    f"{self.path} should be the empty file that locks the state beside it, and is "
                    "not; move it away"
                ) from error
            raise
        self._connection = connection
        return True

    def release(self) -> None:
        """Let others in; safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
