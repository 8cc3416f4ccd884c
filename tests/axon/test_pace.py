from __future__ import annotations

import pytest

from node.axon.pace import Pace
from node.axon.sharing import Sharing
from node.errors import RateLimited

KEY, OTHER = b"k" * 32, b"o" * 32


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def use(pace: Pace, key: bytes) -> None:
    with pace.admit(key):
        pass


def test_without_limits_everything_passes() -> None:
    pace = Pace()
    for _ in range(1000):
        use(pace, KEY)


def test_a_caller_may_burst_and_then_keeps_its_rate() -> None:
    clock = Clock()
    pace = Pace(per_second=2, clock=clock)
    for _ in range(4):
        use(pace, KEY)
    with pytest.raises(RateLimited) as caught:
        use(pace, KEY)
    assert caught.value.retry_after == pytest.approx(0.5)
    use(pace, OTHER)
    clock.now += 0.5
    use(pace, KEY)
    with pytest.raises(RateLimited):
        use(pace, KEY)


def test_a_slow_rate_lets_the_first_request_in() -> None:
    pace = Pace(per_second=0.1, clock=Clock())
    use(pace, KEY)
    with pytest.raises(RateLimited):
        use(pace, KEY)


def test_requests_at_once_are_counted_while_they_last_and_when_they_fail() -> None:
    pace = Pace(at_once=1)
    with pace.admit(KEY):
        with pytest.raises(RateLimited, match="1 requests running"):
            use(pace, KEY)
        use(pace, OTHER)
    with pytest.raises(ZeroDivisionError), pace.admit(KEY):
        raise ZeroDivisionError
    use(pace, KEY)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.axon.pace._MAX_KEYS", 10)
    pace = Pace(per_second=1, clock=Clock())
    for number in range(100):
        use(pace, number.to_bytes(32, "big"))
    assert len(pace._tokens) == 10
    assert not pace._running


class Bucket:
    """A shared memory that has so many tokens left for each key."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.asked: list[tuple[bytes, float, float]] = []

    async def accept(self, entry: bytes, *, keep_s: float) -> None:
        raise AssertionError("nobody asked for that")

    async def take_token(self, key: bytes, *, per_second: float, burst: float) -> float:
        self.asked.append((key, per_second, burst))
        self.tokens -= 1
        return 0.0 if self.tokens >= 0 else 0.25

    async def aclose(self) -> None:
        pass


async def test_a_rate_is_counted_where_others_count_too() -> None:
    bucket = Bucket(2)
    pace = Pace(per_second=2, sharing=Sharing(bucket, b"r" * 32, window_s=10))
    for _ in range(2):
        await pace.check_shared(KEY)
    with pytest.raises(RateLimited) as caught:
        await pace.check_shared(KEY)
    assert caught.value.retry_after == 0.25
    # The receiver is part of the key, so that two nodes in one memory are apart.
    assert set(bucket.asked) == {(b"r" * 32 + KEY, 2, 4)}


async def test_without_a_rate_or_a_memory_nobody_is_asked() -> None:
    bucket = Bucket(0)
    await Pace(sharing=Sharing(bucket, b"r" * 32, window_s=10)).check_shared(KEY)
    await Pace(per_second=2, sharing=Sharing(None, b"r" * 32, window_s=10)).check_shared(KEY)
    await Pace(per_second=2).check_shared(KEY)
    assert bucket.asked == []
