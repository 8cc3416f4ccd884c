from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from node import Wallet, errors
from node.cli import main
from node.commands import export_files
from node.commands.export_files import write_rows
from node.commands.export_tables import Column, Kind
from node.neuron.state import Event, ScoreRow, Step, ValidatorState, state_path
from tests.neuron.state.rows import ALICE, HOTKEYS

Run = Callable[..., int]
NOW_NS = 1_767_225_600_123_456_789  # 2026-01-01T00:00:00.123456789Z


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BT_WALLET_PATH", str(tmp_path / "wallets"))
    for name in ("BT_WALLET_NAME", "BT_WALLET_HOTKEY", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(state: ValidatorState) -> None:
    """Two steps, of which the second finds a peer silent and another one at uid 1."""
    good = Event(1, 0, HOTKEYS[0], 0.5, "ok", 200, 0.125, 0.5, 64, 20, 300, 128.0)
    odd = Event(1, 1, HOTKEYS[1], math.nan, "=cmd()", 200, None, None, 10**30, 1, 2, math.nan)
    late = Event(2, 0, HOTKEYS[0], 0.0, "idle_timeout", 408)
    first, second = NOW_NS, NOW_NS + 12 * 10**9
    scores = [ScoreRow(HOTKEYS[0], 0, 0.05, 1, first), ScoreRow(HOTKEYS[1], 1, 0.9, 1, first)]
    state.save_step(Step(1, first - 5, first, 7, 2, 2), [good, odd], scores)
    scores = [ScoreRow(HOTKEYS[0], 0, 0.045, 2, second), ScoreRow(HOTKEYS[2], 1, 0.25, 2, second)]
    state.save_step(Step(2, second - 5, second, 8, 1, 0, "a, b"), [late], scores)
    state.save_weights(8, [0, 1], [0.25, 0.75])


@pytest.fixture
def state(home: Path) -> Iterator[ValidatorState]:
    """A state that its validator has open."""
    path = home / "state.db"
    with ValidatorState(
        path, netuid=8, hotkey=ALICE, network="local", clock=lambda: NOW_NS
    ) as state:
        fill(state)
        yield state


class TestShow:
    def test_scores_the_highest_first_and_those_without_a_uid_last(
        self, state: ValidatorState, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["scores", "show", "--state", "state.db"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == [f"netuid 8 of local, by {ALICE}", "step 2, weights set at block 8"]
        rows = [line.strip("│ ").split("│") for line in lines[5:8]]
        cells = [[cell.strip() for cell in row] for row in rows]
        assert [row[:6] for row in cells] == [
            ["1", HOTKEYS[2], "0.2500", "-", "-", "2"],
            ["0", HOTKEYS[0], "0.0450", "0.0000", "idle_timeout", "2"],
            ["-", HOTKEYS[1], "0.9000", "-", "=cmd()", "1"],
        ]
        assert cells[0][6] == "never"
        assert cells[1][6].endswith(" ago")

    def test_only_the_first(
        self, state: ValidatorState, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["scores", "show", "--state", "state.db", "--limit", "1"])
        out = capsys.readouterr().out
        assert HOTKEYS[2] in out
        assert HOTKEYS[0] not in out
        assert out.endswith("2 more, without --limit\n")

    def test_json(self, state: ValidatorState, capsys: pytest.CaptureFixture[str]) -> None:
        main(["scores", "show", "--state", "state.db", "--json"])
        document = json.loads(capsys.readouterr().out)
        assert {key: document[key] for key in ("netuid", "hotkey", "network", "step")} == {
            "netuid": 8, "hotkey": ALICE, "network": "local", "step": 2,
        }  # fmt: skip
        assert [row["uid"] for row in document["scores"]] == [1, 0, -1]
        assert document["scores"][1]["reason"] == "idle_timeout"

    def test_a_state_without_scores(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with ValidatorState(home / "new.db", netuid=8, hotkey=ALICE, network="local"):
            assert main(["scores", "show", "--state", "new.db"]) == 0
        assert capsys.readouterr().out.splitlines()[1:] == [
            "step 0, no weights set yet",
            "no scores yet",
        ]

    def test_what_a_reason_says_to_a_terminal_is_shown_and_not_obeyed(
        self, state: ValidatorState, capsys: pytest.CaptureFixture[str]
    ) -> None:
        event = Event(3, 0, HOTKEYS[0], 0.0, "[bold]\x1b[2J", 200)
        row = ScoreRow(HOTKEYS[0], 0, 0.04, 3, NOW_NS)
        state.save_step(Step(3, 1, 2, 9, 1, 1), [event], [row])
        main(["scores", "show", "--state", "state.db"])
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "[bold]\\x1b[2J" in out

    @pytest.mark.parametrize("limit", ["0", "-1", "x"])
    def test_a_limit_that_is_none(
        self, state: ValidatorState, limit: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["scores", "show", "--state", "state.db", "--limit", limit]) == 2
        assert "whole number from 1" in capsys.readouterr().err


class TestChoosing:
    def test_by_the_validator_whose_it_is(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        address = Wallet("v", "hot", home / "wallets").create().hotkey.ss58_address
        path = state_path(8, address)
        with ValidatorState(path, netuid=8, hotkey=address, network="local") as state:
            fill(state)
        names = ["--netuid", "8", "--wallet.name", "v", "--wallet.hotkey", "hot"]
        assert main(["scores", "show", *names]) == 0
        assert f"netuid 8 of local, by {address}" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ([], "name the state: --state FILE, or --netuid N"),
            (["--state", "a", "--netuid", "8"], "leave --netuid and --subtensor.network out"),
            (["--state", "a", "--subtensor.network", "local"], "leave --netuid"),
            (["--netuid", "x"], "--netuid"),
            (["--netuid", "8"], "has no hotkey 'default'"),
            (["--netuid", "8", "--subtensor.network", "locl"], "did you mean 'local'?"),
            (["--state", "nothing.db"], "there is no state"),
            (["--stat", "x"], "unknown flag --stat; did you mean --state?"),
        ],
    )
    def test_what_names_no_state_is_told(
        self, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["scores", "show", *arguments]) == 2
        err = capsys.readouterr().err
        assert text in err
        assert err.count("\n") == 1


def export(*arguments: str) -> int:
    return main(["scores", "export", "--state", "state.db", *arguments])


def rows_of(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class TestCsv:
    def test_events(self, state: ValidatorState, capsys: pytest.CaptureFixture[str]) -> None:
        assert export("--what", "events", "--out", "e.csv") == 0
        assert capsys.readouterr().out == "3 rows of events in e.csv\n"
        first, second, third = rows_of("e.csv")
        assert first == {
            "step": "1", "uid": "0", "hotkey": HOTKEYS[0], "reward": "0.5", "reason": "ok",
            "status": "200", "first_byte_s": "0.125", "total_s": "0.5", "tokens": "64",
            "chunks": "20", "bytes": "300", "tokens_per_s": "128.0",
        }  # fmt: skip
        missing = ("reward", "first_byte_s", "total_s", "tokens_per_s")
        assert [second[name] for name in missing] == [""] * 4
        assert second["tokens"] == str(2**63 - 1)
        assert third["tokens"] == ""

    def test_a_text_is_no_formula(self, state: ValidatorState) -> None:
        export("--what", "events", "--out", "e.csv")
        assert [row["reason"] for row in rows_of("e.csv")] == ["ok", "'=cmd()", "idle_timeout"]

    def test_scores_are_what_is_exported_if_nothing_is_said(self, state: ValidatorState) -> None:
        export("--out", "s.csv")
        lost, silent, new = rows_of("s.csv")
        assert (lost["uid"], silent["uid"], new["uid"]) == ("-1", "0", "1")
        assert silent["updated"] == "2026-01-01T00:00:12.123456789Z"
        assert silent["answered"] == "2026-01-01T00:00:00.123456789Z"
        assert (new["reward"], new["reason"], new["answered"]) == ("", "", "")

    def test_steps(self, state: ValidatorState) -> None:
        export("--what", "steps", "--out", "s.csv")
        first, second = rows_of("s.csv")
        assert (first["step"], first["asked"], first["note"]) == ("1", "2", "")
        assert second["note"] == "a, b"
        assert second["ended"] == "2026-01-01T00:00:12.123456789Z"

    def test_weights(self, state: ValidatorState) -> None:
        export("--what", "weights", "--out", "w.csv")
        assert [(row["block"], row["uid"], row["weight"]) for row in rows_of("w.csv")] == [
            ("8", "0", "0.25"),
            ("8", "1", "0.75"),
        ]


class TestParquet:
    def read(self, *arguments: str) -> pa.Table:
        assert export(*arguments, "--out", "out.parquet") == 0
        return pyarrow.parquet.read_table("out.parquet")

    def test_events(self, state: ValidatorState) -> None:
        table = self.read("--what", "events")
        types = {field.name: str(field.type) for field in table.schema}
        assert types == {
            "step": "int64", "uid": "int64", "hotkey": "string", "reward": "double",
            "reason": "string", "status": "int64", "first_byte_s": "double", "total_s": "double",
            "tokens": "int64", "chunks": "int64", "bytes": "int64", "tokens_per_s": "double",
        }  # fmt: skip
        rows = table.to_pylist()
        assert (rows[0]["reward"], rows[0]["first_byte_s"], rows[0]["tokens"]) == (0.5, 0.125, 64)
        # Missing, and not NaN, which other readers would average.
        assert (rows[1]["reward"], rows[1]["tokens_per_s"]) == (None, None)
        assert rows[1]["reason"] == "=cmd()"

    def test_moments_have_a_type(self, state: ValidatorState) -> None:
        table = self.read("--what", "steps")
        assert str(table.schema.field("ended").type) == "timestamp[ns, tz=UTC]"
        assert table["ended"].cast(pa.int64()).to_pylist() == [NOW_NS, NOW_NS + 12 * 10**9]

    def test_scores_and_weights(self, state: ValidatorState) -> None:
        assert self.read()["uid"].to_pylist() == [-1, 0, 1]
        assert self.read()["answered"].null_count == 1
        assert self.read("--what", "weights")["weight"].to_pylist() == [0.25, 0.75]

    def test_an_empty_table_has_its_columns(self, home: Path) -> None:
        with ValidatorState(home / "state.db", netuid=8, hotkey=ALICE, network="local"):
            table = self.read("--what", "events")
        assert (table.num_rows, table.num_columns) == (0, 12)

    def test_rows_are_written_batch_by_batch(
        self, state: ValidatorState, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(export_files, "_BATCH_ROWS", 2)
        assert self.read("--what", "events")["step"].to_pylist() == [1, 1, 2]
        assert pyarrow.parquet.ParquetFile("out.parquet").num_row_groups == 2

    def test_without_pyarrow_the_line_that_installs_it_is_told(
        self,
        state: ValidatorState,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        assert export("--out", "out.parquet") == 2
        assert "pip install ganglion[parquet]" in capsys.readouterr().err
        assert export("--out", "out.csv") == 0


class TestFiles:
    def test_the_format_may_be_named(self, state: ValidatorState) -> None:
        assert export("--format", "csv", "--out", "data") == 0
        assert len(rows_of("data")) == 3

    def test_an_upper_case_ending_is_one(self, state: ValidatorState) -> None:
        assert export("--out", "S.CSV") == 0

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (["--out", "data"], "say which with --format"),
            (["--out", "data.xlsx"], "say which with --format"),
            (["--out", "nowhere/s.csv"], "there is no folder nowhere"),
            (["--out", "home.csv"], "it is a folder"),
            (["--out", "state.db", "--format", "csv"], "names the state itself"),
            (["--out", "link.csv"], "names the state itself"),
            (["--out", "s.csv", "--what", "all"], "must be one of scores, events"),
            ([], "--out"),
        ],
    )
    def test_a_file_that_can_not_be_is_told(
        self,
        state: ValidatorState,
        home: Path,
        arguments: list[str],
        text: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (home / "home.csv").mkdir()
        (home / "link.csv").symlink_to(state.path)
        assert export(*arguments) == 2
        err = capsys.readouterr().err
        assert text in err
        assert err.count("\n") == 1
        assert state.load().step == 2

    def test_an_export_that_fails_leaves_the_file_that_was_there(self, home: Path) -> None:
        out = home / "out.csv"
        out.write_text("before")

        def rows() -> Iterator[Any]:
            yield Step(1, 2, 3, 4, 5, 6)
            raise errors.StateError("damaged")

        for file_format in export_files.FORMATS:
            with pytest.raises(errors.StateError):
                write_rows(out, file_format, [Column("step", Kind.INTEGER)], rows())
            assert out.read_text() == "before"
            assert list(home.iterdir()) == [out]

    def test_a_disk_that_refuses_is_told(
        self, state: ValidatorState, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*values: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", refuse)
        with pytest.raises(errors.ConfigError, match="No space left"):
            write_rows(home / "out.csv", "csv", [Column("step", Kind.INTEGER)], state.steps())
        assert not list(home.glob("*out.csv*"))

    def test_every_moment_that_can_be_stored_has_a_date(self, home: Path) -> None:
        steps = [Step(1, ns, 0, 0, 0, 0) for ns in (-(2**63), 2**63 - 1, -1)]
        write_rows(home / "s.csv", "csv", [Column("started", Kind.MOMENT, "started_ns")], steps)
        assert [row["started"] for row in rows_of("s.csv")] == [
            "1677-09-21T00:12:43.145224192Z",
            "2262-04-11T23:47:16.854775807Z",
            "1969-12-31T23:59:59.999999999Z",
        ]
