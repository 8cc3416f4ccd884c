"""The border where errors of SQLite and of the file system become `StateError`s."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node import errors

__all__ = ["damaged", "not_ours", "result_code", "told"]


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise in the block into a sentence about `path`.

    Raises:
        errors.StateError: In place of `sqlite3.Error` and `OSError`, but for SQLite's word that it
            was used wrongly.
    """
    try:
        yield
    except (sqlite3.InterfaceError, sqlite3.ProgrammingError):
        raise  # a fault of ours, and not of the file
    except sqlite3.Error as error:
        raise errors.StateError(_sentence(path, error)) from error
    except OSError as error:
        raise errors.StateError(
            f"state {path} can't be used: {error.strerror}; check the owner and permissions of "
            "the file and its folder, or name another file"
        ) from error


def result_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or 1 for an error that the Python module raised itself."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def not_ours(path: Path) -> errors.StateError:
    """The error for a file that no validator made."""
    return errors.StateError(
        f"{path} is not a validator's state and was left as it is; name another file, or move that "
        "one away"
    )


def damaged(path: Path, reason: object) -> errors.StateError:
    """The error for a file that a validator made and that can no longer be read."""
    return errors.StateError(
        f"state {path} is damaged ({reason}) and was left as it is; put a copy of it back, or move "
        "it away and start with no scores"
    )


def _sentence(path: Path, error: sqlite3.Error) -> str:
    code = result_code(error)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return (
            f"state {path} stayed locked by another program; find the one that writes to it, end "
            "it or wait, and try again"
        )
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return (
            f"state {path} can't be opened; check the owner and permissions of the file and its "
            "folder, or name another file"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return str(not_ours(path))
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return f"state {path} can't be written ({error}); check the disk's free space and health"
    return str(damaged(path, error))
