"""How `scripts/bench --instructions` counts."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from benchmarks.__main__ import chosen_contenders, chosen_measures, main
from benchmarks.contenders import counted
from benchmarks.contest import Contest
from benchmarks.flags import make_parser
from benchmarks.floors import read_floors
from benchmarks.measures import instructions
from benchmarks.measures.instructions import LOADS, Load, figures_of, instructions_of_one
from benchmarks.program import BenchError
from benchmarks.rounds import Rounds, Turn
from benchmarks.sizes import QUICK
from benchmarks.valgrind import counting_command, parse_count, read_count

FLOORS = Path(instructions.__file__).parents[1] / "floors.json"
LOG = """\
==8380== Cachegrind, a cache and branch-prediction profiler
==8380== Command: python -m benchmarks.contenders.counted {}
--8380-- warning: L3 cache found, using its data for the LL simulation.
==8380==\x20
==8380== I   refs:      1,495,582,834
"""


def test_the_total_of_a_log_is_read() -> None:
    assert parse_count(LOG) == 1_495_582_834


@pytest.mark.parametrize("log", ["", LOG.partition("I   refs")[0], LOG + LOG])
def test_a_log_without_one_total_is_refused(log: str) -> None:
    with pytest.raises(ValueError, match=r"a log with [02] totals"):
        parse_count(log)


def test_the_log_of_a_process_is_found_by_its_id(tmp_path: Path) -> None:
    assert counting_command("valgrind", tmp_path)[-1] == f"--log-file={tmp_path}/%p.log"
    (tmp_path / "8380.log").write_text(LOG)
    assert read_count(tmp_path, 8380) == 1_495_582_834
    with pytest.raises(BenchError, match="counted nothing"):
        read_count(tmp_path, 8381)


def test_what_both_runs_have_in_common_drops_out() -> None:
    start, one = 2_000_000_000, 1_900_000
    assert instructions_of_one(start + 100 * one, start + 200 * one, 100) == one


def turn(name: str, each: float) -> Turn:
    return Turn(0, name, {load.name: each * (number + 1) for number, load in enumerate(LOADS)})


def test_figures_are_counts_and_their_ratios_to_raw() -> None:
    found = {
        figure.key: figure.median
        for figure in figures_of(Rounds([turn("ganglion", 300), turn("raw", 200)]))
    }
    assert found["instructions.request_of_raw"] == 1.5
    assert found["instructions.ganglion_request"] == 300
    assert found["instructions.raw_stream"] == 400
    alone = figures_of(Rounds([turn("ganglion", 300)]))
    assert not [figure.key for figure in alone if "raw" in figure.key]


def test_every_load_can_be_carried_out_and_has_its_floor() -> None:
    assert {load.name for load in LOADS} == set(counted.LOADS)
    floors = {key for key in read_floors(FLOORS) if key.startswith("instructions.")}
    assert floors == {f"instructions.{load.name}_of_raw" for load in LOADS}


def test_a_run_that_counts_takes_no_other_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*words: str) -> list[str]:
        return chosen_measures(make_parser().parse_args(words))

    assert chosen("--instructions") == ["instructions"]
    assert chosen("--instructions", "--only", "tokens") == ["tokens", "instructions"]
    assert "instructions" not in chosen("--quick")
    for path in ("/bin/valgrind", None):
        monkeypatch.setattr(shutil, "which", lambda name, path=path: path)
        assert ("instructions" in chosen()) == (path is not None)


def test_nobody_is_set_up_that_is_not_measured() -> None:
    def chosen(*words: str) -> list[str]:
        return chosen_contenders(make_parser().parse_args(words))

    assert chosen("--instructions") == ["raw"]
    assert chosen("--quick") == ["raw"]
    assert chosen("--instructions", "--only", "unary") == ["raw", "grpc", "sdk"]
    assert chosen("--instructions", "--against", "sdk") == ["sdk"]


def test_without_valgrind_the_run_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["--instructions", "--out", str(tmp_path / "bench.json")]) == 1
    assert "instructions failed: valgrind, which counts" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no valgrind")
async def test_a_small_run_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = (Load("request", "request", 2, 4), Load("token", "token", 10, 20))
    monkeypatch.setattr(instructions, "LOADS", small)
    contest = Contest(dataclasses.replace(QUICK, rounds=1), frozenset({"raw"}), tmp_path)
    rounds, figures = await instructions.measure(contest)
    (counts,) = (each.result for each in rounds)
    # A request of raw aiohttp takes some 800,000, so that both ends were counted, and one alone.
    assert 200_000 < counts["request"] < 4_000_000
    assert 1_000 < counts["token"] < counts["request"]
    assert {figure.key for figure in figures} == {
        "instructions.raw_request", "instructions.raw_token",
    }  # fmt: skip
    assert set(contest.versions["raw"]) == {"python", "aiohttp"}


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="there is no valgrind")
async def test_a_load_that_goes_wrong_fails_the_measure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(instructions, "LOADS", (Load("nothing", "", 1, 1),))
    contest: Any = Contest(QUICK, frozenset({"raw"}), tmp_path)
    with pytest.raises(BenchError, match=r"ended by itself:[\s\S]*KeyError: 'nothing'"):
        await instructions.measure(contest)
