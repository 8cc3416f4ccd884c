from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from node import Keypair, errors
from node.network.local import LocalNetwork
from node.neuron.state import StateReader, ValidatorState, schema

from .rows import HOTKEYS, save

Open = Callable[..., ValidatorState]


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (text)")
        connection.commit()


def other_database_with_a_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE mine (text)")
        connection.commit()


def other_database_whose_program_was_killed(path: Path) -> None:
    """What it wrote last is in its log, which the first who opens the file moves into it."""
    source = path.with_name("source")
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE mine (text)")
        connection.commit()
        path.with_name(f"{path.name}-wal").write_bytes(Path(f"{source}-wal").read_bytes())
        path.write_bytes(source.read_bytes())
    source.unlink()


def registry(path: Path) -> None:
    LocalNetwork(path).register(1, Keypair.from_uri("//Alice"))


def text(path: Path) -> None:
    path.write_text("SQLite format 3 is a fine format\n" * 99)


def half_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + bytes(range(40)))


def empty(path: Path) -> None:
    path.touch()


FOREIGN = [
    other_database,
    other_database_with_a_log,
    other_database_whose_program_was_killed,
    registry,
    text,
    half_a_header,
    empty,
]


@pytest.mark.parametrize("make", FOREIGN)
def test_a_file_that_no_validator_made_is_refused_and_left_as_it_is(
    opened: Open, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "file"
    make(path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for use in (lambda: opened(path=path), lambda: StateReader(path)):
        with pytest.raises(errors.StateError, match="is not a validator's state and was left"):
            use()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_is_no_state(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(errors.StateError, match="is not a file"):
        opened(path=tmp_path)


class TestDamage:
    @pytest.fixture
    def whole(self, opened: Open, path: Path) -> bytes:
        state = opened()
        for number in range(1, 60):
            save(state, number, uids=range(6))
        state.close()
        return path.read_bytes()

    def test_a_page_of_nonsense(self, opened: Open, path: Path, whole: bytes) -> None:
        rng = random.Random(1)
        size = int.from_bytes(whole[16:18], "big")
        told = 0
        for page in range(1, len(whole) // size):
            damaged = bytearray(whole)
            damaged[page * size : (page + 1) * size] = rng.randbytes(size)
            path.write_bytes(damaged)
            with pytest.raises(errors.StateError, match=r"is damaged .* was left as it is"):
                opened()
            assert path.read_bytes() == damaged
            told += 1
        assert told > 10

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
    def test_a_file_that_was_cut(
        self, opened: Open, path: Path, whole: bytes, share: float
    ) -> None:
        cut = whole[: int(len(whole) * share) // 4096 * 4096]
        path.write_bytes(cut)
        with pytest.raises(errors.StateError, match="is damaged"):
            opened()
        assert path.read_bytes() == cut

    def test_a_whole_file_is_taken(self, opened: Open, path: Path, whole: bytes) -> None:
        path.write_bytes(whole)
        assert opened().load().step == 59

    def test_a_file_that_does_not_say_whose_it_is(self, opened: Open, path: Path) -> None:
        opened().close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM validator")
            connection.commit()
        with pytest.raises(errors.StateError, match="does not say whose"):
            opened()


class TestVersions:
    NEXT = ("ALTER TABLE steps ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'",)

    def test_an_older_file_is_brought_up_to_date_and_keeps_what_it_has(
        self, opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = opened()
        save(state, 1)
        state.close()
        monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, self.NEXT))
        saved = opened().load()
        assert saved.step == 1
        assert saved.scores.keys() == set(HOTKEYS[:2])
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)
            assert connection.execute("SELECT mood FROM steps").fetchall() == [("calm",)]

    def test_a_new_file_is_of_the_newest_version(
        self, opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, self.NEXT))
        opened()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)
            assert connection.execute("SELECT mood FROM steps").fetchall() == []

    def test_a_migration_that_fails_leaves_the_file_of_its_version(
        self, opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = opened()
        save(state, 1)
        state.close()
        with monkeypatch.context() as patch:
            broken = (*self.NEXT, "ALTER TABLE nowhere ADD COLUMN x")
            patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
            with pytest.raises(errors.StateError, match="nowhere"):
                opened()
        state = opened()
        save(state, 2)
        assert state.load().step == 2

    def test_a_newer_file_is_refused_and_left_alone(
        self, opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, self.NEXT))
            opened().close()
        before = path.read_bytes()
        for use in (opened, lambda: StateReader(path)):
            with pytest.raises(errors.StateError, match=r"newer Ganglion .*upgrade"):
                use()
        assert path.read_bytes() == before

    def test_a_reader_does_not_bring_a_file_up_to_date(
        self, opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened().close()
        from node.neuron.state import reader

        monkeypatch.setattr(reader, "MIGRATIONS", (*schema.MIGRATIONS, self.NEXT))
        with pytest.raises(errors.StateError, match=r"older Ganglion .*start its validator once"):
            StateReader(path)


def test_a_machine_that_died_while_the_log_was_moved_into_the_file(
    opened: Open, path: Path, tmp_path: Path
) -> None:
    """The first page is moved and the last is not: the file is shorter than it says."""
    state = opened()
    for number in range(1, 40):
        save(state, number, uids=range(6))
    copy = tmp_path / "copy.db"
    log = Path(f"{path}-wal").read_bytes()
    Path(f"{copy}-wal").write_bytes(log)
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    # The log is a header of 32 bytes, and frames of 24 bytes, which begin with a page number,
    # and a page (the SQLite file format, section 4).
    frames = [log[at : at + 24 + size] for at in range(32, len(log), 24 + size)]
    data[:size] = [frame for frame in frames if int.from_bytes(frame[:4], "big") == 1][-1][24:]
    assert int.from_bytes(data[28:32], "big") * size > len(data)
    copy.write_bytes(data)
    assert StateReader(copy).load().step == 39
    assert opened(path=copy).load().step == 39


def test_what_one_who_was_killed_while_making_a_file_left_is_in_nobodys_way(
    opened: Open, path: Path
) -> None:
    path.parent.mkdir()
    for end in ("", "-journal", "-wal"):
        path.with_name(f".{path.name}.new{end}").write_bytes(b"half")
    save(opened(), 1)
    assert not list(path.parent.glob(f".{path.name}*"))


def test_the_file_shows_what_it_is(opened: Open, path: Path) -> None:
    opened().close()
    assert path.read_bytes()[68:72] == b"GNVS"
