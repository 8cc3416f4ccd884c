from __future__ import annotations

import pytest

from node.network.once import OnceMemory, Verdict


def accept(memory: OnceMemory, entry: bytes, now_s: float, keep_s: float = 10.0) -> Verdict:
    return memory.accept(entry, keep_s=keep_s, now_s=now_s)


def test_an_entry_is_taken_once_for_as_long_as_it_was_asked_for() -> None:
    memory = OnceMemory()
    assert accept(memory, b"a", 100.9) is Verdict.TAKEN
    assert accept(memory, b"b", 100.9) is Verdict.TAKEN
    for now_s in (100.9, 105.0, 110.0, 110.9):
        assert accept(memory, b"a", now_s) is Verdict.KNOWN
    assert accept(memory, b"a", 112.0) is Verdict.TAKEN
    assert len(memory) == 1


def test_asking_again_does_not_make_it_stay_longer() -> None:
    memory = OnceMemory()
    accept(memory, b"a", 0.0)
    accept(memory, b"a", 9.0, keep_s=100.0)
    assert accept(memory, b"a", 12.0) is Verdict.TAKEN


def test_each_entry_has_its_own_end() -> None:
    memory = OnceMemory()
    accept(memory, b"long", 0.0, keep_s=50.0)
    accept(memory, b"short", 0.0, keep_s=5.0)
    assert accept(memory, b"short", 20.0) is Verdict.TAKEN
    assert accept(memory, b"long", 20.0) is Verdict.KNOWN


def test_a_full_memory_takes_none_until_one_ends() -> None:
    memory = OnceMemory(max_entries=2)
    accept(memory, b"a", 0.0, keep_s=5.0)
    accept(memory, b"b", 0.0, keep_s=50.0)
    assert accept(memory, b"c", 1.0) is Verdict.FULL
    assert accept(memory, b"a", 1.0) is Verdict.KNOWN
    assert accept(memory, b"c", 7.0) is Verdict.TAKEN


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    memory = OnceMemory()

    def take(now_s: float) -> float:
        return memory.take_token(b"k", per_second=2.0, burst=3.0, now_s=now_s)

    assert [take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert take(0.25) == pytest.approx(0.25)
    assert take(0.5) == 0.0
    assert take(100.0) == take(100.0) == take(100.0) == 0.0
    assert take(100.0) == 0.5


def test_buckets_are_apart_and_the_longest_unused_makes_room() -> None:
    memory = OnceMemory(max_buckets=2)

    def take(key: bytes) -> float:
        return memory.take_token(key, per_second=1.0, burst=1.0, now_s=0.0)

    assert [take(b"a"), take(b"b"), take(b"a")] == [0.0, 0.0, 1.0]
    take(b"c")  # b was asked for before a
    assert take(b"a") == 1.0
    assert take(b"b") == 0.0
