"""The state file: how it is recognised, made, checked and brought up to date.

Rules of this file:

1. A file that no validator made is never changed. So the first look at any file is through a
   connection with `immutable=1`: SQLite then takes no lock and recovers nothing. (A plain `open`
   would do for reading the mark, but closing it drops the locks that this process has on the file.)
2. A file appears whole or not at all: it is made under another name and then renamed.
3. Making a file and bringing an old one up to date are the same thing: `MIGRATIONS` are applied
   from the version that the file has. A migration is never edited once it was released; a change
   is another one at the end.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from node import errors

from .faults import damaged, not_ours, result_code
from .rows import Identity

__all__ = [
    "APPLICATION_ID",
    "MIGRATIONS",
    "check_identity",
    "check_known",
    "check_whole",
    "connect",
    "create",
    "migrate",
    "read_identity",
]

APPLICATION_ID = 0x474E5653  # "GNVS", as `file` and `PRAGMA application_id` show it
BUSY_TIMEOUT_S = 5.0

_VERSION_1 = (
    """
    CREATE TABLE validator (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        netuid INTEGER NOT NULL,
        hotkey TEXT NOT NULL,
        network TEXT NOT NULL,
        process INTEGER NOT NULL DEFAULT 0
    )""",
    """
    CREATE TABLE steps (
        step INTEGER PRIMARY KEY,
        started_ns INTEGER NOT NULL,
        ended_ns INTEGER NOT NULL,
        block INTEGER NOT NULL,
        asked INTEGER NOT NULL,
        answered INTEGER NOT NULL,
        note TEXT NOT NULL
    )""",
    # Laid out by step, so that old ones go in one piece. `score` is the hotkey's after the step.
    """
    CREATE TABLE events (
        step INTEGER NOT NULL,
        place INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        hotkey TEXT NOT NULL,
        reward REAL,
        reason TEXT NOT NULL,
        status INTEGER NOT NULL,
        first_byte_s REAL,
        total_s REAL,
        tokens INTEGER,
        chunks INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        tokens_per_s REAL,
        score REAL,
        PRIMARY KEY (step, place)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE scores (
        hotkey TEXT PRIMARY KEY,
        uid INTEGER NOT NULL,
        score REAL NOT NULL,
        updated_step INTEGER NOT NULL,
        updated_ns INTEGER NOT NULL,
        reward REAL,
        reason TEXT,
        answered_ns INTEGER
    ) WITHOUT ROWID""",
    "CREATE INDEX scores_by_uid ON scores (uid, updated_step)",
    """
    CREATE TABLE settings (
        setting INTEGER PRIMARY KEY,
        block INTEGER NOT NULL,
        set_ns INTEGER NOT NULL
    )""",
    """
    CREATE TABLE weights (
        setting INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        weight REAL NOT NULL,
        PRIMARY KEY (setting, uid)
    ) WITHOUT ROWID""",
)

MIGRATIONS: tuple[Sequence[str], ...] = (_VERSION_1,)
"""Statements that make version n+1 of a file of version n; a new file has version 0."""


def connect(path: Path, options: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """A connection whose transactions are begun and ended in the open; may change threads."""
    return sqlite3.connect(
        f"{path.as_uri()}?{options}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )


def check_known(path: Path) -> bool:
    """Whether the file is there.

    Raises:
        errors.StateError: It is, and no validator made it, or a newer version did.
        sqlite3.Error, OSError: It can't be read.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise errors.StateError(f"{path} is not a file; name another")
    mark, version = _first_look(path)
    if mark != APPLICATION_ID:
        raise not_ours(path)
    _check_version(path, version)
    return True


def create(path: Path, identity: Identity) -> None:
    """Make the file, with mode 0600. Whoever calls holds the state's lock.

    Raises:
        sqlite3.Error, OSError: It can't be made.
    """
    draft = path.with_name(f".{path.name}.new")
    leftovers = [draft, *(Path(f"{draft}{end}") for end in ("-journal", "-wal", "-shm"))]
    for leftover in leftovers:  # of one who was killed
        leftover.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(connect(draft, "mode=rw")) as connection:
        connection.execute("BEGIN")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _apply(connection, 0)
        connection.execute(
            "INSERT INTO validator (one, netuid, hotkey, network) VALUES (1, ?, ?, ?)",
            (identity.netuid, identity.hotkey, identity.network),
        )
        connection.execute("COMMIT")
        # After the mark, so that the first look finds the mark in the file itself.
        connection.execute("PRAGMA journal_mode = WAL")
    draft.rename(path)


def check_whole(path: Path) -> None:
    """Read every page, through a connection that can't write.

    Raises:
        errors.StateError: A page is damaged.
        sqlite3.Error, OSError: The file can't be read.
    """
    with closing(connect(path, "mode=ro")) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, str(found).splitlines()[-1])


def migrate(path: Path, connection: sqlite3.Connection) -> None:
    """Bring an older file up to date in one transaction.

    Raises:
        errors.StateError: A newer version made it.
        sqlite3.Error: It can't be changed; it is then as it was.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    _check_version(path, version)
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _apply(connection, version)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def read_identity(path: Path, connection: sqlite3.Connection) -> Identity:
    """Whose state it is.

    Raises:
        errors.StateError: The file does not say.
        sqlite3.Error: It can't be read.
    """
    row = connection.execute("SELECT netuid, hotkey, network FROM validator").fetchone()
    if row is None:
        raise damaged(path, "it does not say whose it is")
    return Identity(*row)


def check_identity(path: Path, found: Identity, wanted: Identity) -> None:
    """Check that a state belongs to the one who opens it.

    Raises:
        errors.StateError: It does not; the text names both.
    """
    if found != wanted:
        raise errors.StateError(
            f"state {path} is of {found}, and this is {wanted}; name another file, so that the "
            "scores of one are not taken for those of the other"
        )


def _apply(connection: sqlite3.Connection, version: int) -> None:
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _check_version(path: Path, version: int) -> None:
    if version > len(MIGRATIONS):
        raise errors.StateError(
            f"state {path} was made by a newer Ganglion (schema {version}, this one knows "
            f"{len(MIGRATIONS)}); upgrade Ganglion, or name another file"
        )


def _first_look(path: Path) -> tuple[int, int]:
    """The file's application id and schema version, (0, 0) where it is not a database."""
    try:
        with closing(connect(path, "mode=ro&immutable=1")) as connection:
            _allow_short_file(connection)
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        if result_code(error) == sqlite3.SQLITE_NOTADB:
            return 0, 0
        raise
    return mark, version


def _allow_short_file(connection: sqlite3.Connection) -> None:
    """Take a file that is shorter than its first page says, as this connection ignores the log.

    A checkpoint that is under way has written the first page and not yet the last; without this
    SQLite calls such a file malformed. The setting is the connection's own, which can only read.
    """
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, False)
    connection.execute("PRAGMA writable_schema = ON")
