from __future__ import annotations

import pytest

from node.axon.pace import Pace
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
