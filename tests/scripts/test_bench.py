"""The arithmetic of `scripts/bench`, its files, and a run of the smallest size."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from benchmarks import payload
from benchmarks.__main__ import main
from benchmarks.contenders.catalogue import CONTENDERS, RAW
from benchmarks.contest import Contest, Pair, check_done
from benchmarks.document import figure_document, figures_in, read_document
from benchmarks.figures import Figure, at_least, at_most, below, rate, ratio
from benchmarks.floors import broken_floors, read_floors
from benchmarks.measures.catalogue import MEASURES, QUICK_MEASURES
from benchmarks.measures.open_streams import possible_streams
from benchmarks.measures.unary import figures_of
from benchmarks.page import fill_page
from benchmarks.program import BenchError, Child, running
from benchmarks.rounds import Rounds, Turn, alternate, spans
from benchmarks.sizes import QUICK
from benchmarks.table import markdown_table, shown
from benchmarks.take import take

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "scripts" / "benchmarks"
TINY = dataclasses.replace(
    QUICK, rounds=2, starts=2, turn_s=0.02, warm_s=0.0, at_once=2, tokens=20, streams=12, blocks=4
)
TAKEN = ("unary", "tokens", "blocks", "open_streams")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What a run of the smallest size wrote."""
    said: list[str] = []
    run = take(TAKEN, TINY, ["raw"], quick=True, say=said.append)
    document = asyncio.run(run)
    assert [line.partition(":")[0] for line in said] == list(TAKEN)
    written: dict[str, Any] = json.loads(json.dumps(document))
    return written


@pytest.fixture
def file(document: dict[str, Any], tmp_path: Path) -> Path:
    """The same as a file."""
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document))
    return path


def test_a_ratio_is_formed_round_by_round() -> None:
    figure = ratio("a.b", "", [10, 30, 50], [10, 10, 100], at_least(1))
    assert list(figure.values) == [1, 3, 0.5]
    assert (figure.median, figure.low, figure.high) == (1, 0.5, 3)
    assert figure.holds is True
    assert dataclasses.replace(figure, target=at_least(1.01)).holds is False
    assert dataclasses.replace(figure, target=at_most(0.99)).holds is False
    # The ratio of the medians would have been 3.
    with pytest.raises(ValueError, match="zip"):
        ratio("a.b", "", [1, 2], [1])


@pytest.mark.parametrize(
    ("target", "holding", "missing", "text"),
    [
        (at_least(0.75), 0.75, 0.7499, ">= 0.75"),
        (at_most(60), 60.0, 60.01, "<= 60"),
        (below(4000), 3999, 4000, "< 4,000"),
    ],
)
def test_a_target_holds_up_to_its_bound(
    target: Any, holding: float, missing: float, text: str
) -> None:
    assert target.holds(holding)
    assert not target.holds(missing)
    assert str(target) == text
    assert Figure("a.b", "", "", (holding,)).holds is None


def turns(**results: list[Mapping[str, float]]) -> Rounds:
    return Rounds(
        [
            Turn(number, name, result)
            for name, each in results.items()
            for number, result in enumerate(each)
        ]
    )


def test_a_request_costs_the_server_what_is_left_of_raw_and_one_verify() -> None:
    ours = {"calls": 100, "seconds": 0.5, "cpu_s": 0.02, "server_cpu_s": 0.03, "verify_s": 40e-6}
    raw = {"calls": 400, "seconds": 0.5, "cpu_s": 0.02, "server_cpu_s": 0.04, "verify_s": 0.0}
    sdk = {**raw, "calls": 5}
    figures = figures_of(
        "unary", "x", turns(ganglion=[ours], raw=[raw], sdk=[sdk]), of_raw=0.75, of_sdk=30
    )
    found = {figure.key: figure for figure in figures}
    assert found["unary.of_raw"].median == pytest.approx(0.25)
    assert found["unary.of_sdk"].median == pytest.approx(20)
    assert found["unary.server_us"].median == pytest.approx(300 - 100 - 40)
    # 150 us of processor time against 500 us.
    assert found["unary.cpu_of_raw"].median == pytest.approx(0.3)
    assert found["unary.raw_per_s"].median == pytest.approx(800)
    assert "unary.of_grpc" not in found
    assert [found[f"unary.{key}"].holds for key in ("of_raw", "of_sdk", "server_us")] == [False] * 3


async def test_every_other_round_goes_backwards() -> None:
    order = []

    async def turn(name: str) -> Mapping[str, float]:
        order.append(name)
        return {"calls": len(order), "seconds": 2}

    rounds = await alternate(["a", "b", "c"], range(3), turn)
    assert "".join(order) == "abccbaabc"
    assert rounds.of("b", "calls") == [2, 5, 8]
    assert rate(rounds, "c", "calls", "seconds") == [1.5, 2, 4.5]
    assert "a" in rounds
    assert "d" not in rounds


@pytest.mark.parametrize("rounds", range(1, 20))
@pytest.mark.parametrize("count", [1, 3, 5])
def test_spans_are_all_rounds_in_order(rounds: int, count: int) -> None:
    found = spans(rounds, count)
    assert [number for span in found for number in span] == list(range(rounds))
    assert all(found)
    assert len(found) <= count
    assert {len(span) for span in found[:-1]} <= {len(found[0])}


@pytest.mark.parametrize(("rounds", "starts", "repeats"), [(5, 3, 1), (3, 2, 2)])
async def test_programs_are_started_anew_between_rounds(
    tmp_path: Path, rounds: int, starts: int, repeats: int
) -> None:
    seen: list[int] = []

    async def take(pair: Pair) -> Mapping[str, float]:
        seen.append(pair.server.pid)
        return {}

    sizes = dataclasses.replace(TINY, rounds=rounds, starts=starts)
    contest = Contest(sizes, frozenset({"raw"}), tmp_path)
    turns = await contest.alternate([RAW], take, repeats=repeats)
    assert [turn.number for turn in turns] == list(range(rounds * repeats))
    firsts = seen[::2]  # a start has two rounds
    assert seen[1::2] == firsts[: len(seen[1::2])]
    assert len(set(firsts)) == len(firsts)


@pytest.mark.parametrize(
    ("contender", "load", "fault"),
    [
        ("raw", {"calls": 9, "failed": 1}, "1 calls failed, 9 succeeded"),
        ("raw", {"calls": 0, "failed": 0}, "0 calls failed, 0 succeeded"),
        ("sdk", {"calls": 0, "failed": 5}, "5 calls failed, 0 succeeded"),
        ("sdk", {"calls": 9, "failed": 1}, None),
        ("ganglion", {"calls": 9, "failed": 0}, None),
    ],
)
def test_calls_that_fail_are_no_speed(
    contender: str, load: dict[str, float], fault: str | None
) -> None:
    pair = Pair(CONTENDERS[contender], (), cast("Child", None))
    if fault is None:
        check_done(pair, load)
    else:
        with pytest.raises(BenchError, match=fault):
            check_done(pair, load)


def test_streams_are_as_many_as_files_may_be_open() -> None:
    assert possible_streams(10_000, 20_000) == 10_000
    assert possible_streams(10_000, 4_096) == 3_996
    assert possible_streams(10_000, -1) == 10_000


def test_a_run_is_written_by_its_schema(document: dict[str, Any]) -> None:
    assert document["failed"] == {}
    assert set(document) == {
        "schema", "started", "seconds", "quick", "rounds", "commit", "machine", "versions", "notes",
        "failed", "turns", "figures",
    }  # fmt: skip
    assert (document["schema"], document["rounds"], document["quick"]) == (1, 2, True)
    assert set(document["versions"]) == {"ganglion", "receipted", "raw"}
    assert document["versions"]["raw"]["aiohttp"] == document["versions"]["ganglion"]["aiohttp"]
    unary = document["turns"]["unary"]
    entrants = ["ganglion", "raw", "receipted"]
    assert [turn["contender"] for turn in unary] == entrants + entrants[::-1]
    assert [turn["round"] for turn in unary] == [0, 0, 0, 1, 1, 1]
    assert all(turn["calls"] > 0 and turn["failed"] == 0 for turn in unary)
    assert {turn["served"] for turn in document["turns"]["open_streams"]} == {12}


def test_figures_are_what_the_turns_give(document: dict[str, Any]) -> None:
    figures = {figure.key: figure for figure in figures_in(document)}
    assert {key.partition(".")[0] for key in figures} == set(TAKEN)
    turns = document["turns"]["tokens"]
    per_s = {
        name: [t["tokens"] / t["seconds"] for t in turns if t["contender"] == name]
        for name in ("ganglion", "raw")
    }
    ours, raw = per_s["ganglion"], per_s["raw"]
    expected = tuple(one / other for one, other in zip(ours, raw, strict=True))
    assert figures["tokens.of_raw"].values == pytest.approx(expected)
    for entry, figure in zip(document["figures"], figures_in(document), strict=True):
        assert figure_document(entry["measure"], figure) == entry
        assert entry["low"] <= entry["median"] <= entry["high"]


def test_a_run_tells_nothing_of_whose_machine_it_is(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for secret in (platform.node(), str(ROOT), str(Path.home()), sys.prefix):
        assert secret not in text


def test_a_run_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text('{"schema": 0}')
    with pytest.raises(ValueError, match=r"old\.json is no bench\.json of schema 1"):
        read_document(path)


FIGURES = [Figure("unary.of_raw", "", "x", (0.5,)), Figure("tokens.of_raw", "", "x", (1.2,))]


@pytest.mark.parametrize(
    ("floors", "broken"),
    [
        ({"unary.of_raw": {"at_least": 0.62}}, []),  # 0.62 less a fifth is 0.496
        ({"unary.of_raw": {"at_least": 0.63}}, ["unary.of_raw is 0.5; with slack it may be >= 0."]),
        ({"unary.of_raw": {"at_least": 0.51, "slack": 0}}, ["unary.of_raw is 0.5; with slack"]),
        ({"tokens.of_raw": {"at_most": 1.0}}, []),
        ({"tokens.of_raw": {"at_most": 0.99}}, ["tokens.of_raw is 1.2; with slack it may be <= 1"]),
        ({"tokens.gone": {"at_least": 1}}, ["tokens.gone was not measured"]),
        ({"blocks.of_raw": {"at_least": 1}}, []),  # not asked for
    ],
)
def test_a_floor_may_be_missed_by_its_slack(
    tmp_path: Path, floors: dict[str, Any], broken: list[str]
) -> None:
    path = tmp_path / "floors.json"
    path.write_text(json.dumps({"slack": 0.2, "floors": floors}))
    found = broken_floors(read_floors(path), FIGURES, {"unary", "tokens"})
    assert len(found) == len(broken)
    assert all(text.startswith(start) for text, start in zip(found, broken, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "{}", "[]", '{"slack": 1, "floors": {"a.b": {"at_least": 1}}}',
        '{"slack": 0.1, "floors": {"a.b": {"about": 1}}}',
        '{"slack": 0.1, "floors": {"a.b": {"at_least": 1, "at_most": 2}}}',
    ],
)  # fmt: skip
def test_what_is_no_file_of_floors_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "floors.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is no file of floors"):
        read_floors(path)


def test_the_floors_of_ci_are_of_figures_that_a_quick_run_has(document: dict[str, Any]) -> None:
    floors = read_floors(BENCHMARKS / "floors.json")
    assert {key.partition(".")[0] for key in floors} <= {*QUICK_MEASURES, "instructions"}
    figures = {figure.key for figure in figures_in(document)}
    assert {key for key in floors if key.partition(".")[0] in TAKEN} <= figures
    assert set(QUICK_MEASURES) <= set(MEASURES)


def test_a_broken_floor_is_the_exit_status(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    floors = tmp_path / "floors.json"
    statuses = []
    for bound in (0, 1_000):
        floor = {"slack": 0, "floors": {"unary.of_raw": {"at_least": bound}}}
        floors.write_text(json.dumps(floor))
        statuses.append(main(["--from", str(file), "--check", str(floors)]))
    assert statuses == [0, 1]
    shown, told = capsys.readouterr()
    assert "unary.of_raw is" in told
    assert ">= 0.75 x" in shown


def test_a_measure_that_failed_is_the_exit_status(
    document: dict[str, Any], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(json.dumps({**document, "failed": {"fan_out": "nobody came"}}))
    assert main(["--from", str(file)]) == 1
    assert "fan_out failed: nobody came" in capsys.readouterr().err


def test_the_page_gets_the_figures_of_a_run(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "benchmarks.md").read_text())
    assert main(["--from", str(file), "--page", str(page)]) == 0
    once = page.read_text()
    assert "| requests, one after another, of raw aiohttp, unsigned |" in once
    assert f"| commit | `{read_document(file)['commit']}` |" in once
    assert "Not measured yet" not in once
    assert fill_page(once, read_document(file)) == once


def test_a_page_without_marks_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no marks"):
        fill_page("# Page\n", document)
    with pytest.raises(ValueError, match="the mark 'colours'"):
        fill_page("<!-- bench:colours -->\n<!-- /bench:colours -->\n", document)


def test_the_same_run_is_drawn_the_same(file: Path, tmp_path: Path) -> None:
    pictures = [tmp_path / "one.svg", tmp_path / "two.svg"]
    plots = [word for picture in pictures for word in ("--plot", str(picture))]
    assert main(["--from", str(file), *plots]) == 0
    one, two = (picture.read_bytes() for picture in pictures)
    assert one == two
    assert b"raw aiohttp" in one or one.count(b"<path") > 20  # text is drawn as paths


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.7512, "x", "0.751 x"), (12345.6, "/s", "12,346 /s"), (99.96, "us", "100 us"), (0, "", "0")],
)
def test_three_digits_are_shown(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text
    assert text in markdown_table([Figure("a.b", "name", unit, (value,), at_most(1))])


def test_every_contender_has_its_programs_and_its_environment() -> None:
    setup = (ROOT / "scripts" / "setup").read_text()
    for contender in CONTENDERS.values():
        for end in ("server", "client"):
            assert (BENCHMARKS / "contenders" / f"{contender.programs}_{end}.py").exists()
        if contender.environment is not None:
            assert contender.environment in setup


async def test_a_measure_that_fails_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(contest: Contest) -> tuple[Rounds, list[Figure]]:
        raise BenchError("nobody came")

    async def succeed(contest: Contest) -> tuple[Rounds, list[Figure]]:
        return turns(ganglion=[{"calls": 1}]), FIGURES

    monkeypatch.setitem(MEASURES, "unary", fail)
    monkeypatch.setitem(MEASURES, "tokens", succeed)
    said: list[str] = []
    document = await take(["unary", "tokens"], TINY, [], quick=False, say=said.append)
    assert document["failed"] == {"unary": "nobody came"}
    assert said[0] == "unary: nobody came"
    assert document["turns"] == {"tokens": [{"round": 0, "contender": "ganglion", "calls": 1}]}
    assert figures_in(document) == FIGURES


async def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    contest = Contest(TINY, frozenset({"raw"}), tmp_path)
    async with contest.pair(RAW) as pair:
        with pytest.raises(BenchError, match=r"failed to unary:[\s\S]*missing 2 required"):
            await pair.client.ask("unary")
        # It lives on, and is told apart from one that is stuck.
        with pytest.raises(BenchError, match=r"said nothing for 0\.05 s"):
            await pair.client.ask("unary", at_once=1, seconds=0.4, within_s=0.05)
    with pytest.raises(BenchError, match=r"ended by itself:[\s\S]*No module named"):
        await start("contenders.nobody", tmp_path)


async def start(module: str, home: Path) -> Child:
    async with running(Path(sys.executable), module, {}, home=home) as child:
        return child


def test_the_stamp_of_a_token_has_its_length() -> None:
    token = payload.stamp()
    assert len(token) == payload.STAMP_BYTES
    assert 0 <= payload.stamped_s(token) < 5


def children_of(pid: int) -> set[int]:
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    return {int(child) for child, parent in rows if int(parent) == pid}


def wait_until(is_so: Any, what: str) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def alive(pids: set[int]) -> set[int]:
    listed = subprocess.run(["ps", "-eo", "pid,stat"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    return {int(pid) for pid, state in rows if int(pid) in pids and not state.startswith("Z")}


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let programs be interrupted also where this one is not, as beneath `nohup`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_leaves_no_program_behind(
    tmp_path: Path, ending: signal.Signals
) -> None:
    # Four programs, of which two are paused.
    command = [sys.executable, "-m", "benchmarks", "--only", "blocks", "--against", "raw",
               "--rounds", "1000"]  # fmt: skip
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "TMPDIR": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    ) as run:
        try:
            wait_until(lambda: len(children_of(run.pid)) == 4, "four programs run")
            programs = children_of(run.pid)
            run.send_signal(ending)
            run.wait(20)
        finally:
            run.kill()  # where it did not end, leaving the block would wait for ever
    wait_until(lambda: not alive(programs), "they end with the run")
    assert run.returncode != 0
