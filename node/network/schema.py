"""The registry file: how it is recognised, made, opened, and how SQLite's errors are told.

Rules of this file:

1. A file that is not ours is never changed, nor is a file put beside it. So the first look at any
   file is through a connection with `immutable=1`: SQLite then takes no lock, ignores a write-ahead
   log and recovers nothing. (Reading the header with a plain `open` would be simpler, but closing
   that descriptor drops the POSIX locks that this process holds on the file; SQLite knows its own
   descriptors and does not.)
2. A registry appears whole or not at all: it is made under another name and then linked to its own,
   which fails when somebody else was first. Its mark is written before the write-ahead log is
   turned on, so the first look always finds it in the file itself.
3. A connection serves one operation, in one thread, and is closed.
4. Writers take the write lock when they begin, so that what they read stays true until they commit.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from node import errors

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "has_registry", "reading", "writing"]

APPLICATION_ID = 0x474E474C  # "GNGL", as `file` and `PRAGMA application_id` show it
SCHEMA_VERSION = 1

# Keys and texts are blobs: whatever bytes another writer puts there, reading them can't fail.
TABLES = (
    """
    CREATE TABLE registry (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        genesis_ns INTEGER NOT NULL
    )""",
    """
    CREATE TABLE neurons (
        netuid INTEGER NOT NULL,
        uid INTEGER NOT NULL,
        public_key BLOB NOT NULL CHECK (length(public_key) = 32),
        stake REAL NOT NULL DEFAULT 0.0,
        validator_permit INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (netuid, uid),
        UNIQUE (netuid, public_key)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE records (
        netuid INTEGER NOT NULL,
        public_key BLOB NOT NULL,
        kind BLOB NOT NULL,
        message BLOB NOT NULL,
        scheme BLOB NOT NULL,
        signature BLOB NOT NULL,
        PRIMARY KEY (netuid, public_key, kind)
    )""",
)


def has_registry(path: Path) -> bool:
    """Whether the file is there.

    Raises:
        errors.NetworkError: It is, and is not a registry of a known version, or can't be read.
    """
    with _errors_told(path, 0.0):
        return _is_registry(path)


@contextmanager
def reading(path: Path, busy_timeout_s: float) -> Iterator[sqlite3.Connection | None]:
    """A connection inside one read transaction, or None where there is no file.

    Raises:
        errors.NetworkError: The file is not a registry of a known version, can't be read, is
            damaged, or stays locked for `busy_timeout_s`.
    """
    with _errors_told(path, busy_timeout_s):
        if not _is_registry(path):
            yield None
            return
        with _connected(path, busy_timeout_s) as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")


@contextmanager
def writing(path: Path, busy_timeout_s: float, genesis_ns: int) -> Iterator[sqlite3.Connection]:
    """A connection inside one write transaction; commits at the end, or changes nothing.

    The registry, and the folders on the way to it, are made where missing: files with mode 0600,
    folders with 0700.

    Raises:
        errors.NetworkError: As `reading`; or the folder or file can't be made or written.
    """
    with _errors_told(path, busy_timeout_s):
        if not _is_registry(path):
            _create(path, genesis_ns)
        with _connected(path, busy_timeout_s) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


@contextmanager
def _connected(path: Path, busy_timeout_s: float) -> Iterator[sqlite3.Connection]:
    with closing(_connect(path, "mode=rw", busy_timeout_s)) as connection:
        yield connection


def _connect(path: Path, options: str, busy_timeout_s: float) -> sqlite3.Connection:
    # isolation_level None: transactions are begun and ended in the open, here.
    connection = sqlite3.connect(
        f"{path.as_uri()}?{options}", uri=True, timeout=busy_timeout_s, isolation_level=None
    )
    connection.text_factory = bytes
    return connection


def _is_registry(path: Path) -> bool:
    """False where there is no file; raises where the file is not a registry that we know."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise errors.NetworkError(f"{path} is not a file; name another with 'local:PATH'")
    mark, version = _first_look(path)
    if mark != APPLICATION_ID:
        raise errors.NetworkError(_not_ours(path))
    if version > SCHEMA_VERSION:
        raise errors.NetworkError(
            f"registry {path} was made by a newer Ganglion (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); upgrade Ganglion, or name another file with 'local:PATH'"
        )
    return True


def _first_look(path: Path) -> tuple[int, int]:
    """The file's application id and schema version, (0, 0) where it is not a database."""
    try:
        with closing(_connect(path, "mode=ro&immutable=1", 0.0)) as connection:
            _allow_short_file(connection)
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        if _code(error) == sqlite3.SQLITE_NOTADB:
            return 0, 0
        raise
    return mark, version


def _allow_short_file(connection: sqlite3.Connection) -> None:
    """Take a file that is shorter than its first page says, as this connection ignores the log.

    A checkpoint that is under way, or that a reader holds up, has written the first page and
    not yet the last; without this SQLite calls such a file malformed. Nothing is written: the
    setting is the connection's own, and the connection can only read.
    """
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, False)
    connection.execute("PRAGMA writable_schema = ON")


def _create(path: Path, genesis_ns: int) -> None:
    _make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(_connect(draft, "mode=rw", 0.0)) as connection:
            connection.execute("BEGIN")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            for table in TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO registry VALUES (1, ?)", (genesis_ns,))
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        # Linking a name that is taken fails, where renaming would replace it.
        path.hardlink_to(draft)
    except FileExistsError:
        pass  # another process made it first; ours is not needed
    finally:
        for leftover in (draft, *(Path(f"{draft}{end}") for end in ("-journal", "-wal", "-shm"))):
            leftover.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _errors_told(path: Path, busy_timeout_s: float) -> Iterator[None]:
    """The border where the errors of SQLite and of the file system become ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise errors.NetworkError(_told(path, busy_timeout_s, error)) from error
    except OSError as error:
        raise errors.NetworkError(
            f"registry {path} can't be used: {error.strerror}; check its owner and permissions, "
            "or name another file with 'local:PATH'"
        ) from error


def _told(path: Path, busy_timeout_s: float, error: sqlite3.Error) -> str:
    code = _code(error)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return (
            f"registry {path} stayed locked for {busy_timeout_s:g} s; find the process that holds "
            "it, end it or wait, and try again"
        )
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return (
            f"registry {path} can't be opened for writing; check the owner and permissions of the "
            "file and its folder, or name another file with 'local:PATH'"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return _not_ours(path)
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return f"registry {path} can't be written ({error}); check the disk's free space and health"
    return f"registry {path} is damaged ({error}); move it away, and register and serve again"


def _not_ours(path: Path) -> str:
    return (
        f"{path} is not a Ganglion registry and was left as it is; name another file with "
        "'local:PATH', or move that one away"
    )


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or 1 for an error that the Python module raised itself."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
