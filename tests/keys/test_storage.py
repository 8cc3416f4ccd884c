from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from node import errors
from node.keys.storage import prepared_file, publish, read_keyfile


def write(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    with prepared_file(path, data) as temporary:
        publish(temporary, path, overwrite=overwrite)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_and_new_folders_are_the_owners_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write(tmp_path / "a" / "b" / "key", b"data")
    finally:
        os.umask(old)
    assert (tmp_path / "a" / "b" / "key").read_bytes() == b"data"
    assert (tmp_path / "a" / "b" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert names(tmp_path / "a" / "b") == ["key"]


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    write(tmp_path / "a" / "key", b"data")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write(path, b"old")
    with pytest.raises(errors.WalletExists, match=str(path)):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    write(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["key"]


@pytest.mark.parametrize("hard_links", [True, False])
def test_of_many_creators_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "key"
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def create(number: int) -> None:
        start.wait()
        try:
            write(path, b"%d" % number * 1000)
        except errors.WalletExists:
            outcomes.append("exists")
        else:
            outcomes.append(str(number))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if outcome != "exists"]
    assert len(outcomes) == 8
    assert len(winners) == 1
    assert path.read_bytes() == winners[0].encode() * 1000
    assert names(tmp_path) == ["key"]


def refuse(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    write(tmp_path / "key", b"data")
    assert (tmp_path / "key").read_bytes() == b"data"
    with pytest.raises(errors.WalletExists):
        write(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"data"
    assert names(tmp_path) == ["key"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "key"
    write(path, b"old")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", no_space)
    else:
        monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(errors.WalletError, match="can't be written: No space left"):
        write(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["key"]


def test_an_interrupt_before_publishing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write(path, b"old")

    def interrupted() -> None:
        with prepared_file(path, b"new") as temporary:
            assert temporary.name.startswith(".")
            assert temporary.parent == path.parent
            assert temporary.stat().st_mode & 0o777 == 0o600
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["key"]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(errors.WalletError, match="can't be written"):
        write(tmp_path / "file" / "key", b"data")
    with pytest.raises(FileNotFoundError):
        read_keyfile(tmp_path / "file" / "key")


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(FileNotFoundError):
        read_keyfile(path)
    write(path, b"data")
    assert read_keyfile(path) == (b"data", False)
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        assert read_keyfile(path) == (b"data", True)
    with pytest.raises(errors.WalletError, match="can't be read: Is a directory"):
        read_keyfile(tmp_path)


def test_no_key_file_is_that_large(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(64 * 1024))
    assert len(read_keyfile(path)[0]) == 64 * 1024
    path.write_bytes(bytes(64 * 1024 + 1))
    with pytest.raises(errors.CorruptKeyfile, match="large"):
        read_keyfile(path)
