from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from node import errors
from node.keys import ss58_decode, ss58_encode
from node.neuron.state import StateReader, ValidatorState, reader

from .rows import ALICE, HOTKEYS, event, save, score, step

Open = Callable[..., ValidatorState]


def test_a_reader_sees_what_a_running_validator_has_saved(opened: Open, path: Path) -> None:
    state = opened()
    save(state, 1)
    found = ValidatorState.read_only(path)
    assert (found.identity.netuid, found.identity.hotkey) == (8, ALICE)
    assert str(found.identity) == f"hotkey {ALICE} on netuid 8 of local"
    save(state, 2)
    assert [row.step for row in found.steps()] == [1, 2]
    assert found.load() == state.load()
    assert repr(found) == f"<StateReader {path}>"


def test_an_iterator_sees_one_moment(opened: Open) -> None:
    state = opened(keep_steps=5)
    for number in range(1, 6):
        save(state, number)
    steps = state.steps()
    first = next(steps)
    for number in range(6, 20):
        save(state, number)
    assert [first.step, *(row.step for row in steps)] == [1, 2, 3, 4, 5]


def test_what_is_loaded_is_of_one_moment(opened: Open, path: Path) -> None:
    state = opened()
    save(state, 1, uids=range(6))
    found, done = StateReader(path), threading.Event()

    def write() -> None:
        number = 1
        while not done.is_set():
            number += 1
            save(state, number, uids=range(6))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(200):
            saved = found.load()
            assert {row.updated_step for row in saved.scores.values()} == {saved.step}
    finally:
        done.set()
        thread.join()


def test_an_iterator_that_is_left_closes_its_file(opened: Open, path: Path) -> None:
    state = opened()
    save(state, 1)
    events = state.events()
    next(events)
    events.close()
    other = state.events()
    next(other)
    del other
    gc.collect()
    state.close()
    # The last connection takes the log away; one that was left open would have kept it.
    assert not path.with_name(f"{path.name}-wal").exists()


def test_iterators_may_be_read_in_other_threads(opened: Open) -> None:
    state = opened()
    save(state, 1)
    events = state.events()
    found = [next(events)]
    thread = threading.Thread(target=lambda: found.extend(events))
    thread.start()
    thread.join()
    assert len(found) == 2


def test_events_from_a_step_on(opened: Open) -> None:
    state = opened()
    for number in range(1, 5):
        save(state, number)
    assert [row.step for row in state.events(since_step=3)] == [3, 3, 4, 4]


def test_scores_come_by_uid(opened: Open) -> None:
    state = opened()
    save(state, 1, uids=[4, 0, 2])
    assert [row.uid for row in state.scores()] == [0, 2, 4]


def test_without_a_file_there_is_nothing_to_read(path: Path) -> None:
    with pytest.raises(errors.StateError, match=r"there is no state .*a validator makes it"):
        StateReader(path)
    assert not path.parent.exists()


def test_a_file_that_went_away_is_told(opened: Open, path: Path) -> None:
    opened().close()
    found = StateReader(path)
    path.unlink()
    with pytest.raises(errors.StateError, match="there is no state"):
        list(found.steps())


def test_a_file_in_a_folder_that_can_not_be_written(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = opened()
    save(state, 1)
    state.close()
    monkeypatch.setattr(reader, "_can_write_beside", lambda path: False)
    assert [row.step for row in StateReader(path).steps()] == [1]
    assert not path.with_name(f"{path.name}-shm").exists()


class TestHistory:
    def test_the_score_after_each_step(self, opened: Open) -> None:
        state = opened()
        save(state, 1, uids=[0, 1])
        save(state, 2, uids=[0])
        points = sorted((point.hotkey, point.step, point.score) for point in state.history())
        assert points == sorted(
            [(HOTKEYS[0], 1, 0.01), (HOTKEYS[1], 1, 0.01), (HOTKEYS[0], 2, 0.02)]
        )

    def test_an_event_whose_score_did_not_move_is_no_point(self, opened: Open) -> None:
        state = opened()
        state.save_step(step(1), [event(1, 0), event(1, 1)], [score(1, 1)])
        assert [point.uid for point in state.history()] == [1]

    def test_only_of_some(self, opened: Open) -> None:
        state = opened()
        save(state, 1, uids=[0, 1, 2])
        other_spelling = ss58_encode(ss58_decode(HOTKEYS[1]), 0)
        assert [point.uid for point in state.history([other_spelling])] == [1]
        assert list(state.history([])) == []

    def test_a_long_one_is_thinned_to_the_last_of_each_span(self, opened: Open) -> None:
        state = opened()
        for number in range(1, 101):
            save(state, number, uids=[0] if number % 2 else [0, 1])
        points = list(state.history(points=10))
        assert [p.step for p in points if p.uid == 0] == list(range(10, 101, 10))
        assert [p.step for p in points if p.uid == 1] == list(range(10, 101, 10))
        assert [p.step for p in state.history(points=1)] == [100, 100]
        assert len(list(state.history(points=1000))) == 150

    def test_without_steps_there_is_none(self, opened: Open) -> None:
        assert list(opened().history()) == []

    def test_a_wrong_question_is_refused_when_it_is_asked(self, opened: Open) -> None:
        state = opened()
        with pytest.raises(errors.ConfigError, match="1 point or more"):
            state.history(points=0)
        with pytest.raises(errors.InvalidAddress):
            state.history(["5Grw"])
