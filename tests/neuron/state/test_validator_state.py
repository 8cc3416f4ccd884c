from __future__ import annotations

import math
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from node import errors
from node.keys import ss58_decode, ss58_encode
from node.neuron.state import NO_UID, Event, Saved, Step, ValidatorState
from node.neuron.state import validator_state as module
from node.neuron.state.writing import FORGOTTEN_AT_ONCE, KEPT_SETTINGS

from .rows import ALICE, HOTKEYS, event, save, score, step

Open = Callable[..., ValidatorState]


class TestSaving:
    def test_a_new_state_is_empty(self, opened: Open) -> None:
        state = opened()
        assert state.load() == Saved(0, {}, 0)
        assert not [*state.steps(), *state.events(), *state.scores(), *state.history()]

    def test_what_was_saved_is_there(self, opened: Open) -> None:
        state = opened()
        events = [
            Event(1, 0, HOTKEYS[0], 0.75, "ok", 200, 0.1, 0.5, 64, 20, 300, 128.0),
            Event(1, 1, HOTKEYS[1], 0.0, "idle_timeout", 408, None, None, None, 0, 0, None),
        ]
        saved = Step(1, 10, 20, 7, 2, 1, "nobody answered")
        state.save_step(saved, events, [score(1, 0), score(1, 1)])
        assert list(state.steps()) == [saved]
        assert list(state.events()) == events
        assert list(state.scores()) == [score(1, 0), score(1, 1)]
        assert state.load() == Saved(1, {row.hotkey: row for row in (score(1, 0), score(1, 1))}, 0)

    def test_the_next_process_goes_on_from_it(self, opened: Open) -> None:
        state = opened()
        save(state, 1)
        save(state, 2, uids=[1])
        state.save_weights(360, [0, 1], [0.25, 0.75])
        state.close()
        saved = opened().load()
        assert (saved.step, saved.last_weights_block) == (2, 360)
        assert saved.scores == {HOTKEYS[0]: score(1, 0), HOTKEYS[1]: score(2, 1)}

    def test_a_step_is_saved_whole_or_not_at_all(
        self, opened: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        state = opened()
        save(state, 1)
        for broken in ("put_scores", "put_events", "forget"):
            with monkeypatch.context() as patch:
                patch.setattr(module, broken, fail)
                with pytest.raises(RuntimeError, match="broken"):
                    save(state, 2)
            assert [row.step for row in state.steps()] == [1]
            assert len(list(state.events())) == 2
            assert state.load().scores[HOTKEYS[0]] == score(1, 0)
        save(state, 2)
        assert state.load().step == 2

    def test_a_step_is_saved_once(self, opened: Open) -> None:
        state = opened()
        save(state, 1)
        with pytest.raises(errors.StateError, match="has a step 1 already"):
            save(state, 1)

    def test_a_step_in_which_nobody_was_asked(self, opened: Open) -> None:
        state = opened()
        state.save_step(step(1, asked=0, answered=0, note="nobody serves"), [], [])
        assert state.load() == Saved(1, {}, 0)
        assert next(state.steps()).note == "nobody serves"

    def test_one_peer_may_be_asked_twice_in_a_step(self, opened: Open) -> None:
        state = opened()
        events = [event(1, 0, reason="ok"), event(1, 0, reason="empty", reward=0.0)]
        state.save_step(step(1), events, [score(1, 0)])
        assert list(state.events()) == events

    def test_several_threads_may_save(self, opened: Open) -> None:
        state = opened()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: save(state, number), range(1, 41)))
        assert [row.step for row in state.steps()] == list(range(1, 41))
        assert len(list(state.events())) == 80


class TestHostileValues:
    def test_numbers_that_can_not_be_stored_do_not_keep_a_step_from_being_saved(
        self, opened: Open
    ) -> None:
        state = opened()
        worst: dict[str, Any] = {
            "reward": math.inf,
            "reason": "a\ud800" * 999,
            "status": 10**30,
            "first_byte_s": math.nan,
            "total_s": "soon",
            "tokens": 10**400,
            "chunks": -(10**30),
            "bytes": None,
            "tokens_per_s": -math.inf,
        }
        state.save_step(
            step(1, note="\udfff" * 9999), [event(1, **worst)], [score(1, score=math.nan)]
        )
        (found,) = state.events()
        assert math.isnan(found.reward)
        assert found.reason == "a?" * 250
        assert (found.status, found.tokens, found.chunks) == (2**63 - 1, 2**63 - 1, 1 - 2**63)
        assert (found.first_byte_s, found.total_s, found.tokens_per_s) == (None, None, None)
        assert found.bytes == 0
        assert len(next(state.steps()).note) == 500
        assert state.load().scores[HOTKEYS[0]].score == 0.0

    def test_a_fault_of_ours_is_not_told_as_a_damaged_file(self, opened: Open) -> None:
        state = opened()
        wrong: Any = object()
        with pytest.raises((sqlite3.InterfaceError, sqlite3.ProgrammingError)):
            state.save_step(step(1), [], [score(1, hotkey=wrong)])
        assert state.load().step == 0


class TestHotkeysAndUids:
    def test_a_hotkey_whose_uid_another_one_takes_has_none(self, opened: Open) -> None:
        state = opened()
        save(state, 1, uids=[0])
        state.save_step(step(2), [], [score(2, 1, uid=0)])
        assert state.load().scores == {
            HOTKEYS[0]: score(1, 0, uid=NO_UID),
            HOTKEYS[1]: score(2, 1, uid=0),
        }

    def test_two_hotkeys_may_change_places(self, opened: Open) -> None:
        state = opened()
        save(state, 1, uids=[0, 1])
        swapped = [score(2, 0, uid=1), score(2, 1, uid=0)]
        state.save_step(step(2), [], swapped)
        # The second row takes uid 0 from nobody: the first one had left it.
        assert sorted(row.uid for row in state.load().scores.values()) == [0, 1]

    def test_of_two_in_one_step_the_one_that_moved_last_has_the_uid(self, opened: Open) -> None:
        state = opened()
        state.save_step(step(2), [], [score(2, 1, uid=0), score(1, 0, uid=0)])
        found = {hotkey: row.uid for hotkey, row in state.load().scores.items()}
        assert found == {HOTKEYS[0]: NO_UID, HOTKEYS[1]: 0}

    def test_a_hotkey_that_comes_back_has_its_score_and_its_new_uid(self, opened: Open) -> None:
        state = opened()
        save(state, 1, uids=[0])
        state.save_step(step(2), [], [score(2, 1, uid=0)])
        state.save_step(step(3), [], [score(3, 0, uid=5)])
        assert state.load().scores[HOTKEYS[0]] == score(3, 0, uid=5)

    def test_one_without_a_uid_takes_it_from_nobody(self, opened: Open) -> None:
        state = opened()
        lost = [score(1, 0, uid=NO_UID), score(1, 1, uid=NO_UID)]
        state.save_step(step(1), [], lost)
        assert list(state.load().scores.values()) == sorted(lost, key=lambda row: row.hotkey)

    def test_those_who_lost_their_uid_are_forgotten_with_their_last_step(
        self, opened: Open
    ) -> None:
        state = opened(keep_steps=5)
        save(state, 1, uids=[0, 2])
        state.save_step(step(2), [], [score(2, 1, uid=0)])
        for number in range(3, 6):
            save(state, number, uids=[1])
        assert HOTKEYS[0] in state.load().scores
        save(state, 6, uids=[1])
        # The one that still has its uid stays, however long ago it was asked.
        assert state.load().scores.keys() == {HOTKEYS[1], HOTKEYS[2]}

    def test_what_is_known_of_a_hotkeys_last_event(self, opened: Open) -> None:
        state = opened()
        save(state, 1, uids=[0, 1])
        save(state, 2, uids=[0], reward=0.0, reason="idle_timeout", status=408)
        first, second = state.standings()
        assert (first.reward, first.reason, first.answered_ns) == (0.0, "idle_timeout", 15)
        assert (second.reward, second.reason, second.answered_ns) == (0.5, "ok", 15)
        assert (first.updated_step, second.updated_step) == (2, 1)


class TestBounds:
    def test_old_steps_go_with_their_events(self, opened: Open) -> None:
        state = opened(keep_steps=3)
        for number in range(1, 11):
            save(state, number)
        assert [row.step for row in state.steps()] == [8, 9, 10]
        assert {row.step for row in state.events()} == {8, 9, 10}
        assert state.load().step == 10

    def test_the_file_stops_growing(self, opened: Open, path: Path) -> None:
        state = opened(keep_steps=20)
        sizes = []
        for number in range(1, 401):
            save(state, number, uids=range(6), reason="x" * 400)
            if number in (100, 400):
                state.close()
                sizes.append(path.stat().st_size)
                state.open()
        assert sizes[1] <= sizes[0] * 1.1

    def test_keeping_fewer_does_not_make_one_step_pay(self, opened: Open) -> None:
        state = opened()
        for number in range(1, 201):
            save(state, number)
        state.close()
        state = opened(keep_steps=10)
        left = []
        for number in range(201, 206):
            save(state, number)
            left.append(sum(1 for _ in state.steps()))
        assert left == [201 - FORGOTTEN_AT_ONCE, 202 - 2 * FORGOTTEN_AT_ONCE, 53, 10, 10]

    def test_steps_that_are_missing_do_not_matter(self, opened: Open) -> None:
        state = opened(keep_steps=10)
        for number in (1, 500, 505):
            save(state, number)
        assert [row.step for row in state.steps()] == [500, 505]
        save(state, 511)
        assert [row.step for row in state.steps()] == [505, 511]

    def test_the_newest_settings_of_weights_are_kept(self, opened: Open) -> None:
        state = opened(clock=lambda: 77)
        for block in range(1, KEPT_SETTINGS + 4):
            state.save_weights(block, [3, 1], [0.75, 0.25])
        rows = list(state.weights())
        assert [row.block for row in rows[::2]] == list(range(4, KEPT_SETTINGS + 4))
        assert [(row.uid, row.weight, row.set_ns) for row in rows[:2]] == [
            (1, 0.25, 77),
            (3, 0.75, 77),
        ]
        assert state.load().last_weights_block == KEPT_SETTINGS + 3
        assert state._connection is not None
        (count,) = state._connection.execute("SELECT count(*) FROM weights").fetchone()
        assert count == 2 * KEPT_SETTINGS

    @pytest.mark.parametrize("lists", [([1], []), ([1, 1], [0.5, 0.5])])
    def test_weights_that_do_not_fit_are_refused(self, opened: Open, lists: Any) -> None:
        state = opened()
        with pytest.raises(errors.ConfigError, match="one uid for each"):
            state.save_weights(1, *lists)
        assert state.load().last_weights_block == 0

    @pytest.mark.parametrize("keep_steps", [0, -1])
    def test_at_least_one_step_is_kept(self, path: Path, keep_steps: int) -> None:
        with pytest.raises(errors.ConfigError, match="1 step or more"):
            ValidatorState(path, netuid=8, hotkey=ALICE, network="local", keep_steps=keep_steps)


class TestOpening:
    def test_the_files_are_for_the_owner_alone(self, opened: Open, path: Path) -> None:
        save(opened(), 1)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        files = sorted(path.parent.iterdir())
        endings = {file.name.removeprefix("state.db") for file in files}
        assert endings == {"", "-wal", "-shm", ".lock"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    def test_closing_leaves_the_file_and_its_lock(self, opened: Open, path: Path) -> None:
        state = opened()
        save(state, 1)
        state.close()
        state.close()
        assert {file.name for file in path.parent.iterdir()} == {"state.db", "state.db.lock"}

    def test_opening_twice_is_opening_once(self, opened: Open) -> None:
        state = opened()
        assert state.open() is state
        save(state, 1)

    def test_with_opens_and_closes(self, path: Path) -> None:
        state = ValidatorState(path, netuid=8, hotkey=ALICE, network="local")
        with state as same:
            save(same, 1)
        with pytest.raises(errors.StateError, match="is not open"):
            save(state, 2)
        assert repr(state) == f"<ValidatorState {path}>"

    @pytest.mark.parametrize(
        ("other", "text"),
        [
            ({"netuid": 9}, "on netuid 8 of local, and this is hotkey .* on netuid 9"),
            ({"hotkey": HOTKEYS[0]}, f"is of hotkey {ALICE} .* this is hotkey {HOTKEYS[0]}"),
            ({"network": "finney"}, "of local, and this is .* of finney"),
        ],
    )
    def test_the_state_of_another_is_refused_and_left_alone(
        self, opened: Open, path: Path, other: dict[str, Any], text: str
    ) -> None:
        state = opened()
        save(state, 1)
        state.close()
        before = path.read_bytes()
        with pytest.raises(errors.StateError, match=text):
            opened(**other)
        assert path.read_bytes() == before
        # The one who was refused holds no lock.
        assert opened().load().step == 1

    def test_one_key_is_one_validator_however_it_is_spelt(self, opened: Open) -> None:
        opened().close()
        assert opened(hotkey=ss58_encode(ss58_decode(ALICE), 0)).identity.hotkey == ALICE

    def test_a_password_of_the_network_is_not_stored(self, opened: Open, path: Path) -> None:
        state = opened(network="redis://user:hunter2@10.0.0.1/0")
        save(state, 1)
        state.close()
        assert b"hunter2" not in path.read_bytes()
        assert opened(network="redis://other:pw@10.0.0.1/0").load().step == 1

    def test_a_folder_that_can_not_be_made_is_told(self, opened: Open, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(errors.StateError, match="can't be used: Not a directory"):
            opened(path=tmp_path / "file" / "state.db")


class TestTrouble:
    def test_a_full_disk_is_told_and_changes_nothing(self, opened: Open) -> None:
        state = opened()
        save(state, 1)
        connection = state._connection
        assert connection is not None
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(errors.StateError, match=r"can't be written .*free space"):
            for number in range(2, 500):
                save(state, number, uids=range(6), reason="x" * 400)
        last = state.load().step
        assert {row.step for row in state.events()} == set(range(1, last + 1))
        connection.execute("PRAGMA max_page_count = 100000")
        save(state, last + 1, uids=range(6), reason="x" * 400)

    def test_another_program_that_writes_is_told(self, opened: Open, path: Path) -> None:
        state = opened()
        assert state._connection is not None
        state._connection.execute("PRAGMA busy_timeout = 20")
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(errors.StateError, match="stayed locked by another program"):
                save(state, 1)
        finally:
            other.close()
        save(state, 1)


def fail(*values: Any) -> None:
    raise RuntimeError("broken")
