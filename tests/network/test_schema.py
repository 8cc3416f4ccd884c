from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from node import errors
from node.network.local import LocalNetwork
from node.network.schema import APPLICATION_ID

from .conftest import key

ALICE = key("Alice")


def database(path: Path, *statements: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def all_calls(network: LocalNetwork) -> list[Callable[[], object]]:
    return [
        lambda: network.metagraph(8),
        lambda: network.register(8, ALICE),
        lambda: network.set_weights(8, ALICE, [0], [1]),
        lambda: network.set_stake(8, ALICE.ss58_address, 1.0),
    ]


class TestFile:
    def test_reading_makes_nothing(self, network: LocalNetwork, tmp_path: Path) -> None:
        assert network.metagraph(8).n == 0
        for call in all_calls(network)[2:]:
            with pytest.raises(errors.NotRegistered):
                call()
        assert list(tmp_path.iterdir()) == []

    def test_modes_and_marks(self, network: LocalNetwork, path: Path) -> None:
        old_mask = os.umask(0)
        try:
            network.register(8, ALICE)
        finally:
            os.umask(old_mask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert [file.name for file in path.parent.iterdir()] == ["local.db"]
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_an_open_file_has_private_side_files(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE neurons SET stake = 1")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {"local.db": 0o600, "local.db-wal": 0o600, "local.db-shm": 0o600}

    def test_a_folder_that_is_there_keeps_its_mode(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        LocalNetwork(tmp_path / "a" / "b" / "x.db").register(8, ALICE)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700

    @pytest.mark.parametrize("name", ["a b.db", "what?.db", "100%.db", "a#b.db", "é.db"])
    def test_any_name_is_a_name(self, tmp_path: Path, name: str) -> None:
        network = LocalNetwork(tmp_path / name)
        network.register(8, ALICE)
        assert network.metagraph(8).n == 1
        assert [file.name for file in tmp_path.iterdir()] == [name]

    def test_a_newer_reader_sees_what_is_only_in_the_log(
        self, network: LocalNetwork, path: Path
    ) -> None:
        network.register(8, ALICE)
        with closing(sqlite3.connect(path)) as holder:
            holder.execute("SELECT * FROM neurons").fetchone()
            network.register(8, key("Bob"))
            assert path.with_name("local.db-wal").stat().st_size > 0
            assert network.metagraph(8).n == 2


class TestFilesThatAreNotOurs:
    @pytest.mark.parametrize(
        "content",
        [b"", b"hello", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(4080), os.urandom(8192)],
        ids=["empty", "text", "short", "hollow", "noise"],
    )
    def test_other_files(self, network: LocalNetwork, path: Path, content: bytes) -> None:
        path.parent.mkdir()
        path.write_bytes(content)
        for call in all_calls(network):
            with pytest.raises(errors.NetworkError, match=r"local\.db is .*(move|name another)"):
                call()
        assert contents(path.parent) == {str(path): content}

    @pytest.mark.parametrize("mode", ["DELETE", "WAL"])
    def test_other_databases(self, network: LocalNetwork, path: Path, mode: str) -> None:
        database(path, f"PRAGMA journal_mode={mode}", "CREATE TABLE neurons (x)")
        before = contents(path.parent)
        for call in all_calls(network):
            with pytest.raises(errors.NetworkError, match="not a Ganglion registry"):
                call()
        assert contents(path.parent) == before

    @pytest.mark.parametrize("mode", ["DELETE", "WAL"])
    def test_another_program_that_died_can_still_recover(
        self, network: LocalNetwork, path: Path, mode: str
    ) -> None:
        """A journal or log that is left behind belongs to whoever left it."""
        path.parent.mkdir()
        program = (
            "import os, sqlite3, sys\n"
            f"c = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
            f"c.execute('PRAGMA journal_mode={mode}')\n"
            "c.execute('CREATE TABLE t (x)')\n"
            "c.execute('PRAGMA cache_size=1')\n"
            "c.execute('BEGIN')\n"
            "c.executemany('INSERT INTO t VALUES (?)', [('x' * 500,)] * 500)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
        before = contents(path.parent)
        assert len(before) >= 2, "the program left no journal"
        for call in all_calls(network):
            with pytest.raises(errors.NetworkError):
                call()
        assert contents(path.parent) == before

    def test_newer_schema(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        database(path, "PRAGMA user_version = 2")
        before = contents(path.parent)
        for call in all_calls(network):
            with pytest.raises(errors.NetworkError, match=r"newer Ganglion .*upgrade"):
                call()
        assert contents(path.parent) == before

    def test_folder_and_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for place in (tmp_path, tmp_path / "pipe"):
            for call in all_calls(LocalNetwork(place)):
                with pytest.raises(errors.NetworkError, match="is not a file"):
                    call()

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        network = LocalNetwork(tmp_path / "file" / "local.db")
        with pytest.raises(errors.NetworkError, match="can't be used"):
            network.register(8, ALICE)

    def test_a_link_to_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "x.db").symlink_to(tmp_path / "missing" / "y.db")
        with pytest.raises(errors.NetworkError, match="can't be"):
            LocalNetwork(tmp_path / "x.db").register(8, ALICE)
        assert [file.name for file in tmp_path.iterdir()] == ["x.db"]


class TestTrouble:
    def test_locked(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("PRAGMA locking_mode=EXCLUSIVE")
            holder.execute("BEGIN EXCLUSIVE")
            holder.execute("UPDATE neurons SET stake = 5")
            for call in all_calls(network):
                with pytest.raises(errors.NetworkError, match=r"stayed locked for 0\.2 s"):
                    call()
            holder.execute("ROLLBACK")
        assert network.metagraph(8).stake == [0.0]

    def test_readers_are_not_held_up_by_a_writer(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            holder.execute("UPDATE neurons SET stake = 5")
            assert network.metagraph(8).stake == [0.0]
            with pytest.raises(errors.NetworkError, match="stayed locked"):
                network.register(8, key("Bob"))
            holder.execute("COMMIT")
        assert network.metagraph(8).stake == [5.0]

    def test_the_first_look_drops_no_lock_of_this_process(
        self, network: LocalNetwork, path: Path
    ) -> None:
        """Closing any descriptor of a file drops its POSIX locks; SQLite's own way does not."""
        network.register(8, ALICE)
        probe = (
            "import sqlite3, sys\n"
            f"c = sqlite3.connect({str(path)!r}, timeout=0, isolation_level=None)\n"
            "try:\n    c.execute('UPDATE neurons SET stake = 5')\n"
            "except sqlite3.OperationalError as error:\n    print(error)\n"
            "c.close()\n"
        )
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("PRAGMA journal_mode=DELETE")
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(errors.NetworkError, match="stayed locked"):
                network.metagraph(8)
            ran = subprocess.run(
                [sys.executable, "-c", probe],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            assert ran.stdout == "database is locked\n"
            holder.execute("ROLLBACK")

    def test_a_checkpoint_that_a_reader_holds_up(self, network: LocalNetwork, path: Path) -> None:
        """The first page is written, the last is not: the file is shorter than it says."""
        network.register(8, ALICE)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            for netuid in range(1000, 2000):
                insert = "INSERT INTO neurons (netuid, uid, public_key) VALUES (?, 0, zeroblob(32))"
                writer.execute(insert, (netuid,))
                with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                    reader.execute("BEGIN")
                    reader.execute("SELECT count(*) FROM neurons").fetchone()
                    writer.execute("UPDATE neurons SET stake = 1 WHERE netuid = ?", (netuid,))
                    writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
                    header = path.read_bytes()[:32]
                    if int.from_bytes(header[28:]) * 4096 > path.stat().st_size:
                        break
            else:
                pytest.fail("no checkpoint was ever held up")
            assert network.metagraph(8).n == 1
            assert network.register(8, key("Bob")) == 1

    def test_damaged(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)
        path.write_bytes(data)
        for call in all_calls(network):
            with pytest.raises(errors.NetworkError, match=r"is damaged .*move it away"):
                call()
        assert path.read_bytes() == bytes(data)

    @pytest.mark.parametrize("table", ["registry", "neurons", "records"])
    def test_a_missing_table(self, network: LocalNetwork, path: Path, table: str) -> None:
        network.register(8, ALICE)
        database(path, f"DROP TABLE {table}")
        with pytest.raises(errors.NetworkError, match="is damaged"):
            network.metagraph(8)

    def test_a_missing_genesis(self, network: LocalNetwork, path: Path) -> None:
        network.register(8, ALICE)
        database(path, "DELETE FROM registry")
        with pytest.raises(errors.NetworkError, match="is damaged"):
            network.metagraph(8)

    def test_a_failure_inside_a_transaction_changes_nothing(
        self, network: LocalNetwork, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        network.register(8, ALICE)
        before = contents(path.parent)
        monkeypatch.setattr("node.network.ledger.write_record", _fail)
        with pytest.raises(KeyError):
            network.register(8, key("Bob"))
        monkeypatch.undo()
        assert network.metagraph(8).n == 1
        assert contents(path.parent) == before


def _fail(*args: object) -> None:
    raise KeyError
