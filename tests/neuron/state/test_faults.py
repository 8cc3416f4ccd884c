from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from node import errors
from node.neuron.state.faults import told

PATH = Path("/somewhere/state.db")


def fault(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("SQLite's own words")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (fault(sqlite3.SQLITE_BUSY), "stayed locked by another program"),
        (fault(sqlite3.SQLITE_LOCKED), "stayed locked by another program"),
        (fault(sqlite3.SQLITE_CANTOPEN), "can't be opened; check the owner"),
        (fault(sqlite3.SQLITE_READONLY), "can't be opened; check the owner"),
        (fault(sqlite3.SQLITE_FULL), "can't be written .*free space"),
        (fault(sqlite3.SQLITE_IOERR | 2 << 8), "can't be written .*free space"),
        (fault(sqlite3.SQLITE_NOTADB), "is not a validator's state"),
        (fault(sqlite3.SQLITE_CORRUPT), "is damaged .SQLite's own words"),
        (sqlite3.DatabaseError("of the Python module"), "is damaged"),
        (PermissionError(13, "Permission denied"), "can't be used: Permission denied"),
    ],
)
def test_each_fault_is_told_with_what_to_do(error: Exception, text: str) -> None:
    with pytest.raises(errors.StateError, match=text) as caught, told(PATH):
        raise error
    assert str(PATH) in str(caught.value)
    assert caught.value.__cause__ is error


def test_other_errors_pass() -> None:
    for error in (KeyError("x"), sqlite3.ProgrammingError("x"), errors.StateError("x")):
        with pytest.raises(type(error)) as caught, told(PATH):
            raise error
        assert caught.value is error
