"""What is read of a state, and how much of it is kept."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from node.neuron.state import NO_UID, Event, ScoreRow, StateReader, Step, ValidatorState
from node.report import digest as module
from node.report.digest import Digest, PeerDigest, Spans, even_sample

from .states import VALIDATOR, hotkey_of, write_state


def step(number: int, asked: int = 0, answered: int = 0, note: str = "") -> Step:
    return Step(number, number * 10**9, number * 10**9 + 5, number * 2, asked, answered, note)


def read(path: Path, *steps: tuple[Step, list[Event], list[ScoreRow]]) -> Digest:
    with ValidatorState(path, netuid=8, hotkey=VALIDATOR, network="local") as state:
        for each in steps:
            state.save_step(*each)
    return Digest.read(StateReader(path))


def event(number: int, uid: int, reward: float = 1.0, reason: str = "ok", **more: float) -> Event:
    status = int(more.pop("status", 200))
    return Event(number, uid, hotkey_of(uid), reward, reason, status, **more)  # type: ignore[arg-type]


def row(number: int, uid: int, score: float, key: int | None = None) -> ScoreRow:
    return ScoreRow(hotkey_of(uid if key is None else key), uid, score, number, number)


def test_events_are_counted_by_peer_and_by_reason(tmp_path: Path) -> None:
    digest = read(
        tmp_path / "s.db",
        (
            step(1, 2, 1),
            [event(1, 0, first_byte_s=0.2, tokens_per_s=90.0),
             event(1, 1, 0.0, "unreachable", status=503)],
            [row(1, 0, 0.1), row(1, 1, 0.0)],
        ),
        (
            step(2, 2, 2),
            [event(2, 0, first_byte_s=0.4), event(2, 1, 0.5, "ok")],
            [row(2, 0, 0.2), row(2, 1, 0.05)],
        ),
    )  # fmt: skip
    best, worst = digest.peers
    assert (best.uid, best.score, best.events, best.answered) == (0, 0.2, 2, 2)
    assert (list(best.first_bytes_s), list(best.rates)) == ([0.2, 0.4], [90.0])
    assert (best.usual_failure, worst.usual_failure) == (None, ("unreachable", 1))
    assert (worst.events, worst.answered, worst.last_reward) == (2, 1, 0.5)
    assert (digest.asked, digest.answered) == (4, 3)
    assert digest.reasons == {"ok": 3, "unreachable": 1}
    assert [dict(span) for span in digest.reasons_of] == [{"ok": 1, "unreachable": 1}, {"ok": 2}]
    assert (list(best.steps), list(best.scores)) == ([1, 2], [0.1, 0.2])


def test_a_hotkey_that_lost_its_uid_comes_last(tmp_path: Path) -> None:
    digest = read(
        tmp_path / "s.db",
        (step(1), [event(1, 0), event(1, 1)], [row(1, 0, 0.9), row(1, 1, 0.2)]),
        (step(2), [], [row(2, 0, 0.1, key=77)]),
    )
    assert [(peer.uid, peer.score) for peer in digest.peers] == [(1, 0.2), (0, 0.1), (NO_UID, 0.9)]
    assert [peer.uid for peer in digest.here] == [1, 0]
    assert [peer.uid for peer in digest.traced] == [1]


def test_a_hotkey_without_a_score_is_one_that_left(tmp_path: Path) -> None:
    digest = read(tmp_path / "s.db", (step(1), [event(1, 4)], []))
    assert [(peer.uid, peer.score, peer.events) for peer in digest.peers] == [(NO_UID, None, 1)]


def test_what_can_not_have_been_measured_is_left_out(tmp_path: Path) -> None:
    odd = [
        event(1, 0, math.nan, first_byte_s=-1.0, tokens_per_s=1e300),
        event(1, 0, 1.0, first_byte_s=math.inf, tokens_per_s=0.0),
    ]
    (peer,) = read(tmp_path / "s.db", (step(1), odd, [row(1, 0, 0.5)])).peers
    assert (list(peer.first_bytes_s), list(peer.rates)) == ([], [0.0])


def test_notes_are_counted_and_the_newest_comes_first(tmp_path: Path) -> None:
    notes = ["slow", "", "odd", "slow", "late"]
    digest = read(
        tmp_path / "s.db", *((step(n, note=note), [], []) for n, note in enumerate(notes, 1))
    )
    found = [(note.text, note.count, note.last_step) for note in digest.notes]
    assert found == [("late", 1, 5), ("slow", 2, 4), ("odd", 1, 3)]


def test_only_the_newest_weights_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with ValidatorState(path, netuid=8, hotkey=VALIDATOR, network="local") as state:
        state.save_weights(10, [0, 1], [0.5, 0.5])
        state.save_weights(20, [1], [1.0])
    digest = Digest.read(StateReader(path))
    assert [setting.block for setting in digest.settings] == [10, 20]
    assert digest.weights == {1: 1.0}


def test_reasons_of_a_subclass_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REASONS", 3)
    events = [event(1, 0, 0.0, f"r{n}") for n in range(9)]
    digest = read(tmp_path / "s.db", (step(1), events, [row(1, 0, 0.0)]))
    assert digest.reasons == {"r0": 1, "r1": 1, "r2": 1, "other": 6}


def test_steps_that_come_while_it_reads_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    read(path, (step(1, 1, 1), [event(1, 0)], [row(1, 0, 0.1)]))
    plain = StateReader.scores

    def write_and_read(reader: StateReader) -> object:
        with ValidatorState(path, netuid=8, hotkey=VALIDATOR, network="local") as state:
            state.save_step(step(2, 1, 1), [event(2, 0)], [row(2, 0, 0.2)])
        return plain(reader)

    monkeypatch.setattr(StateReader, "scores", write_and_read)
    digest = Digest.read(StateReader(path))
    (peer,) = digest.peers
    assert (len(digest.steps), peer.events, list(peer.steps)) == (1, 1, [1])


@pytest.mark.parametrize(
    ("count", "spans", "width"),
    [(0, 0, 1), (1, 1, 1), (120, 120, 1), (121, 61, 2), (10_000, 120, 84)],
)
def test_steps_are_cut_into_a_bounded_number_of_spans(count: int, spans: int, width: int) -> None:
    cut = Spans.of(range(1, count + 1))
    assert (len(cut), cut.width) == (spans, width)
    assert [cut.index(number) for number in cut.firsts()] == list(range(spans))
    if count:
        assert cut.index(count) == spans - 1
        assert cut.index(0) == 0


def test_a_sample_has_both_ends_and_no_peer_twice() -> None:
    peers = [PeerDigest(str(uid), uid) for uid in range(1000)]
    some = even_sample(peers, 7)
    assert [peer.uid for peer in some] == [0, 166, 333, 499, 666, 832, 999]
    assert even_sample(peers, 1000) == peers


def test_more_peers_than_can_be_drawn_are_read_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TRACED", 5)
    write_state(tmp_path / "s.db", peers=40, steps=3, sample=40)
    digest = Digest.read(StateReader(tmp_path / "s.db"))
    assert len(digest.here) == 40
    assert [digest.here.index(peer) for peer in digest.traced] == [0, 9, 19, 29, 39]
