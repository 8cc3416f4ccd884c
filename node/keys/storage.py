"""Reading and writing single key files, so that no crash and no second process loses a key.

A file is written whole to a temporary neighbour, flushed to disk, and then put in place by one
operation of the file system. The neighbour's name begins with a dot, which no wallet or hotkey
name may, so that it is never taken for a key. Files are 0600 and new folders 0700.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node import errors

__all__ = ["already_there", "prepared_file", "publish", "read_keyfile"]

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_MAX_KEYFILE_BYTES = 64 * 1024


def read_keyfile(path: Path) -> tuple[bytes, bool]:
    """The bytes of a key file, and whether others than its owner may read or write it.

    Raises:
        FileNotFoundError: It is not there; the caller knows what to say.
        CorruptKeyfile: It is larger than any key file (64 KiB).
        WalletError: It is there and can't be read.
    """
    try:
        with path.open("rb") as file:
            exposed = os.name == "posix" and bool(os.fstat(file.fileno()).st_mode & 0o077)
            data = file.read(_MAX_KEYFILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise errors.WalletError(f"{path} can't be read: {error.strerror}") from error
    if len(data) > _MAX_KEYFILE_BYTES:
        raise errors.CorruptKeyfile("it is far too large")
    return data, exposed


@contextmanager
def prepared_file(path: Path, data: bytes) -> Iterator[Path]:
    """Write `data`, flushed, to a temporary neighbour of `path`, and remove that at the end.

    The body puts it in place with `publish`. Missing folders are made.

    Raises:
        WalletError: A folder or file can't be made or written; `path` is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        _make_folders(path.parent)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise errors.WalletError(f"{path} can't be written: {error.strerror}") from error


def publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Put a prepared file in its place, in one step.

    Raises:
        WalletExists: There is a file already and `overwrite` is false. Of several processes that
            create the same file at once one succeeds and the others get this.
        OSError: The file system refuses; `path` is then as it was.
    """
    if overwrite:
        temporary.replace(path)
    else:
        try:
            _place_new(temporary, path)
        except FileExistsError:
            raise already_there(path) from None
    _flush_folder(path.parent)


def already_there(path: Path) -> errors.WalletExists:
    """The error for a file that is not to be replaced."""
    return errors.WalletExists(
        f"{path} exists already; choose another name, or say --overwrite to replace it"
    )


def _place_new(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links (FAT, some network mounts): take the name first, then
        # replace it. Between the two an empty file is there, which is refused as a key.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE))
        temporary.replace(path)


def _make_folders(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make a new name survive a power cut, where the system can (Windows can't open folders)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
