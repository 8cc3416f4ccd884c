"""The record of one call: gaps, bursts, and bounded memory."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dendrite import StreamTiming
from node.dendrite import timing as timing_module


class Clock:
    """Takes the place of the clock that a call is measured with."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing_module, "time", clock)
    return clock


def reads(clock: Clock, timing: StreamTiming, *pairs: tuple[float, int]) -> StreamTiming:
    """Record reads: each after so many seconds, of so many chunks of 10 bytes."""
    for pause_s, chunks in pairs:
        clock.now += pause_s
        timing.count(chunks, 10 * chunks)
    return timing


def test_a_new_record_has_nothing(clock: Clock) -> None:
    timing = StreamTiming()
    assert (timing.chunks, timing.bytes, timing.reads, timing.bunched) == (0, 0, 0, 0)
    assert (timing.first_byte_s, timing.last_byte_s, timing.total_s) == (None, None, None)
    assert (timing.sent_at, timing.tokens) == (None, None)
    assert (timing.burstiness, timing.longest_gap_s, list(timing.gaps)) == (0, 0, [])
    assert repr(timing) == "StreamTiming(first_byte_s=-, total_s=-, chunks=0)"


def test_chunks_that_come_one_by_one(clock: Clock) -> None:
    timing = reads(clock, StreamTiming(), (0.5, 1), (0.25, 1), (1.0, 1))
    assert (timing.first_byte_s, timing.last_byte_s) == (0.5, 1.75)
    assert list(timing.gaps) == [0.25, 1.0]
    assert (timing.longest_gap_s, timing.burstiness) == (1.0, 0.0)
    assert (timing.chunks, timing.bytes, timing.reads) == (3, 30, 3)


def test_a_reply_that_was_dumped_at_once(clock: Clock) -> None:
    timing = reads(clock, StreamTiming(), (2.0, 10))
    assert (timing.first_byte_s, timing.last_byte_s) == (2.0, 2.0)
    assert list(timing.gaps) == [0.0] * 9
    assert (timing.burstiness, timing.reads) == (1.0, 1)


def test_the_share_that_came_in_bunches(clock: Clock) -> None:
    timing = reads(clock, StreamTiming(), (0.1, 1), (0.1, 4), (0.1, 1), (0.1, 2))
    assert timing.burstiness == 6 / 8
    assert list(timing.gaps) == pytest.approx([0.1, 0, 0, 0, 0.1, 0.1, 0])


def test_a_read_without_a_chunk_is_no_arrival(clock: Clock) -> None:
    timing = reads(clock, StreamTiming(), (1.0, 0), (1.0, 1), (1.0, 0), (1.0, 1))
    assert (timing.first_byte_s, timing.last_byte_s) == (2.0, 4.0)
    assert (timing.reads, list(timing.gaps)) == (2, [2.0])


@given(st.lists(st.integers(0, 5), max_size=30))
def test_there_is_a_gap_between_any_two_chunks(sizes: list[int]) -> None:
    timing = StreamTiming()
    for size in sizes:
        timing.count(size, size)
    assert timing.chunks == timing.bytes == sum(sizes)
    assert len(timing.gaps) == max(0, sum(sizes) - 1)
    assert timing.bunched == sum(size for size in sizes if size > 1)
    assert 0 <= timing.burstiness <= 1


def test_time_in_a_queue_is_not_the_peers(clock: Clock) -> None:
    timing = StreamTiming()
    clock.now += 60
    timing.restart()
    assert (timing.began, timing.now()) == (clock.now, 0)
    reads(clock, timing, (0.5, 1))
    assert timing.first_byte_s == 0.5


def test_when_it_was_sent_on_the_clock_that_calls_share(clock: Clock) -> None:
    timing = StreamTiming()
    clock.now += 3
    timing.sent_s = timing.now()
    assert timing.sent_at == clock.now


def test_an_endless_stream_is_recorded_in_bounded_memory() -> None:
    timing = StreamTiming()
    for _ in range(70_000):
        timing.count(1, 1)
    timing.count(50, 50)
    assert len(timing.gaps) < 66_000
    assert timing.chunks == 70_050


def test_it_uses_the_clock_that_its_words_promise() -> None:
    before = time.perf_counter()
    timing = StreamTiming()
    assert before <= timing.began <= time.perf_counter()
