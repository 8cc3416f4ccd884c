"""The page: that it stands alone, says what the state says, and is safe with any text."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from pathlib import Path

import pytest

from node.neuron.state import Event, ScoreRow, Step, ValidatorState
from node.report import peer_table

from .pages import Page, report_of
from .states import VALIDATOR, hotkey_of, write_state

HOSTILE = "</script><script>x()</script><img src=http://e.example/ onerror=x()>$\\frac{$ '\"&"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "state.db"
    write_state(path, peers=24, steps=130, sample=20)
    return path


@pytest.fixture(scope="module")
def text(path: Path) -> str:
    return report_of(path)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def odd_state(path: Path, *events: Event, scores: tuple[float, ...] = (), note: str = "") -> str:
    """The report of a state with one step."""
    rows = [ScoreRow(hotkey_of(uid), uid, score, 1, 1) for uid, score in enumerate(scores)]
    with ValidatorState(path, netuid=8, hotkey=VALIDATOR, network="local") as state:
        state.save_step(Step(1, 1, 2, 3, len(events), 0, note), events, rows)
    return report_of(path)


# It stands alone --------------------------------------------------------------------------------


def test_nothing_in_it_names_another_place(text: str, page: Page) -> None:
    assert text.startswith("<!doctype html>")
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    links = [*page.all("src"), *page.all("href")]
    assert any(link.startswith("data:image/png;base64,") for link in links)
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert set(re.findall(r"url\((.)", text)) == {"#"}


def test_its_policy_forbids_requests_and_other_scripts(page: Page) -> None:
    (policy,) = [attrs["content"] for tag, attrs in page.tags if "http-equiv" in attrs]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(page.text("script").encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["img-src"] == "data:"
    assert page.count("script") == 1


def test_no_script_is_in_an_attribute(page: Page) -> None:
    assert [name for _, attrs in page.tags for name in attrs if name.startswith("on")] == []


def test_every_id_is_there_once_and_every_reference_has_one(text: str, page: Page) -> None:
    ids = page.all("id")
    assert len(ids) > 100
    assert len(set(ids)) == len(ids)
    wanted = {link[1:] for link in page.all("href") if link.startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert wanted
    assert wanted <= set(ids)


# What it says -----------------------------------------------------------------------------------


def test_the_head_sums_up(page: Page) -> None:
    assert page.text("h1") == "Validator report"
    assert VALIDATOR in page.text("header")
    assert page.text("title").startswith("Validator report: netuid 8 of local")
    said = page.text("dl")
    for part in ("steps1301 to 130", "peers24and 1 that left", " of 2,600 requests", "block 600"):
        assert part in said


def test_every_figure_is_there_for_a_desk_and_for_a_phone(page: Page) -> None:
    labels = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert labels == [
        label
        for label in ("Scores over time", "Scores of all peers", "Answers per step",
                      "Failures by reason", "Time to the first byte", "First byte by peer",
                      "Token rate", "Speed and score")
        for _ in range(2)
    ]  # fmt: skip
    widths = {attrs["viewbox"] for tag, attrs in page.tags if tag == "svg"}
    assert {str(box).split()[2] for box in widths} == {"1160", "550", "380"}


def test_colours_are_those_of_the_page(text: str, page: Page) -> None:
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", text))
    named = set(re.findall(r"--([a-z0-9-]+):", page.text("style")))
    assert {"ink", "muted", "grid", "other", *(f"series-{n}" for n in range(8))} <= used
    assert used <= named | {"c", "share"}
    assert not re.search(r"#0000[01][0-9a-f]\b", text)


def test_both_schemes_name_the_same_colours(page: Page) -> None:
    light, dark = page.text("style").split("@media (prefers-color-scheme: dark)")
    names = [
        set(re.findall(r"--([a-z0-9-]+):", part.partition("* {")[0])) for part in (light, dark)
    ]
    assert names[0] == names[1]


def test_the_table_has_a_row_for_each_peer_the_best_first(page: Page) -> None:
    head, *rows = page.rows
    assert head == [
        "uid", "hotkey", "score", "weight", "last reward", "answered", "first byte, ms", "p95, ms",
        "tokens/s", "most frequent failure",
    ]  # fmt: skip
    assert len(rows) == 25
    scores = [float(row[2]) for row in rows[:-1]]
    assert scores == sorted(scores, reverse=True)
    assert rows[-1][0] == "left"
    titles = page.all("title")
    assert {hotkey_of(uid) for uid in range(24)} - set(titles) == set()


def test_each_uid_in_the_table_has_its_line(page: Page) -> None:
    lines = set(page.all("data-line"))
    assert lines == {f"uid-{uid}" for uid in range(24)}
    ids = set(page.all("id"))
    assert {f"scores-{kind}-{line}" for kind in ("wide", "narrow") for line in lines} <= ids


def test_the_reasons_add_up(page: Page) -> None:
    counts = [int(text.replace(",", "").split(" · ")[0])
              for text in page.texts["li"] if re.fullmatch(r"[\d,]+ · [\d.]+%", text)]  # fmt: skip
    (said,) = [text for text in page.texts["figcaption"] if text.endswith("earned nothing.")]
    assert sum(counts) == int(said.split(" of ")[0].replace(",", ""))
    assert "all others" in page.text("li")


# Any state --------------------------------------------------------------------------------------


def test_a_state_without_steps_says_so(tmp_path: Path) -> None:
    with ValidatorState(tmp_path / "s.db", netuid=8, hotkey=VALIDATOR, network="finney"):
        pass
    page = Page(report_of(tmp_path / "s.db"))
    assert "The state has no steps yet." in page.text("main")
    assert (page.count("svg"), page.count("table")) == (0, 0)


@pytest.mark.parametrize("peers", [1, 9, 300])
@pytest.mark.parametrize("steps", [1, 2])
def test_few_steps_and_any_number_of_peers(tmp_path: Path, peers: int, steps: int) -> None:
    write_state(tmp_path / "s.db", peers=peers, steps=steps, sample=peers)
    page = Page(report_of(tmp_path / "s.db"))
    assert page.count("svg") >= 8
    assert len(page.rows) == peers + 1


def test_nothing_measured_and_nothing_known(tmp_path: Path) -> None:
    events = [Event(1, uid, hotkey_of(uid), math.nan, "dormant", 503) for uid in range(3)]
    page = Page(odd_state(tmp_path / "s.db", *events, scores=(0.0, 0.0, 0.0)))
    assert [row[2:9] for row in page.rows[1:]] == [["0.000", "-", "0 %", "-", "-", "-",
                                                    "dormant · 1"]] * 3  # fmt: skip
    assert "Speed" not in page.text("h2")


def test_a_step_that_asked_nobody(tmp_path: Path) -> None:
    page = Page(odd_state(tmp_path / "s.db", note="nobody to ask"))
    assert "There were none." in page.text("main")
    assert "nobody to ask" in page.text("li")
    assert "0 of 0 requests" in page.text("dl")


def test_values_far_from_all_others_do_not_hide_them(tmp_path: Path) -> None:
    values = [*(0.1 + n / 1000 for n in range(300)), 90_000.0]
    events = [Event(1, 0, hotkey_of(0), 1.0, "ok", 200, value) for value in values]
    page = Page(odd_state(tmp_path / "s.db", *events, scores=(1.0,)))
    assert "1 beyond the axis are in its end bars." in page.text("figcaption")
    ticks = page.texts["text"]
    numbers = [int(tick.replace(",", "")) for tick in ticks if re.fullmatch(r"[\d,]+", tick)]
    assert 100 in numbers
    assert max(numbers) < 10_000


def test_equal_and_zero_measurements(tmp_path: Path) -> None:
    events = [Event(1, 0, hotkey_of(0), 1.0, "ok", 200, 0.0, tokens_per_s=50.0)] * 3
    page = Page(odd_state(tmp_path / "s.db", *events, scores=(-0.5,)))
    assert "Median 50 tokens/s; nine of ten between 50 and 50." in page.text("figcaption")


def test_a_time_that_no_calendar_has(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with ValidatorState(path, netuid=8, hotkey=VALIDATOR, network="local") as state:
        state.save_step(Step(1, 2**63 - 1, -(2**63), 3, 0, 0), [], [])
    assert "steps1" in Page(report_of(path)).text("dl")


def test_many_peers_have_bands_and_a_bounded_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_table, "MOST_ROWS", 100)
    write_state(tmp_path / "s.db", peers=700, steps=8, sample=700)
    text = report_of(tmp_path / "s.db")
    page = Page(text)
    assert len(page.rows) == 101
    assert "50 from each end of all 701 peers" in page.text("span")
    assert "each of 512 peers, evenly spread" in page.text("figcaption")
    assert len([name for name in page.all("id") if name.startswith("scores-wide-uid-")]) == 8
    assert page.all("data-line") == []


def test_a_full_subnet_fits_in_a_small_file(tmp_path: Path) -> None:
    write_state(tmp_path / "s.db", peers=256, steps=260, sample=100)
    assert len(report_of(tmp_path / "s.db")) < 2_000_000


# Hostile text -----------------------------------------------------------------------------------


def test_no_text_becomes_markup(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    events = [
        Event(1, 0, HOSTILE, 0.0, HOSTILE, 500),
        Event(1, 1, hotkey_of(1), 0.0, "_\x1b[2J\u202e日本語", 500, 0.1),
    ]
    rows = [ScoreRow(HOSTILE, 0, 0.5, 1, 1), ScoreRow(hotkey_of(1), 1, 0.1, 1, 1)]
    with ValidatorState(path, netuid=8, hotkey=VALIDATOR, network=HOSTILE) as state:
        state.save_step(Step(1, 1, 2, 3, 2, 1, HOSTILE), events, rows)
    page = Page(report_of(path))
    assert page.count("script") == 1
    assert page.count("img") == 0
    assert HOSTILE in page.text("header")
    assert HOSTILE in page.text("li")
    assert HOSTILE in page.text("td")
    assert HOSTILE in page.all("title")
    assert "_\\x1b[2J\\u202e日本語" in page.text("td")
