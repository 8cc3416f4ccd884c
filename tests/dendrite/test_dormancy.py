"""Which peers are left alone, for how long, and what wakes them: on a clock of the test's own."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from node import Peer
from node.dendrite import Dormancy
from node.errors import ConfigError, PeerDormant, PeerUnreachable
from node.keys import ss58_encode


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def peer() -> Peer:
    return peer_of(7)


def peer_of(number: int) -> Peer:
    """A peer of its own, made without the work of a key."""
    return Peer(hotkey=ss58_encode(number.to_bytes(32)), ip="192.0.2.1", port=8091)


def dormancy_on(clock: Clock, **options: float) -> Dormancy:
    settings: dict[str, float] = {"after": 3, "first_s": 5.0, "longest_s": 60.0, "jitter": 0.0}
    return Dormancy(clock=clock, **(settings | options))  # type: ignore[arg-type]


def fail(dormancy: Dormancy, peer: Peer, times: int = 3) -> None:
    for _ in range(times):
        dormancy.failed(peer, probe=dormancy.begin(peer))


def is_refused(dormancy: Dormancy, peer: Peer) -> bool:
    try:
        probe = dormancy.begin(peer)
    except PeerDormant:
        return True
    dormancy.abandoned(peer, probe=probe)
    return False


def test_a_peer_that_never_failed_is_awake_and_not_remembered(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    for _ in range(100):
        assert dormancy.begin(peer) is False
        dormancy.succeeded(peer)
    assert (dormancy.is_awake(peer), dormancy.wait_s(peer), dormancy.failures(peer)) == (True, 0, 0)
    assert dormancy.failing == 0


def test_it_falls_asleep_with_the_last_of_so_many_failures_in_a_row(
    clock: Clock, peer: Peer
) -> None:
    dormancy = dormancy_on(clock, after=3)
    fail(dormancy, peer, 2)
    assert dormancy.is_awake(peer)
    fail(dormancy, peer, 1)
    assert not dormancy.is_awake(peer)
    assert dormancy.wait_s(peer) == 5.0
    assert dormancy.failures(peer) == 3
    assert dormancy.is_awake(peer_of(8))


def test_a_success_between_starts_the_count_anew(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    for _ in range(10):
        fail(dormancy, peer, 2)
        dormancy.succeeded(peer)
    assert dormancy.is_awake(peer)
    assert dormancy.failing == 0


def test_what_says_nothing_counts_neither_way(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer, 2)
    for _ in range(5):
        dormancy.abandoned(peer, probe=dormancy.begin(peer))
    assert dormancy.failures(peer) == 2
    fail(dormancy, peer, 1)
    assert not dormancy.is_awake(peer)


def test_the_refusal_says_when_it_is_asked_again(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer)
    clock.now += 1.5
    for ask in (dormancy.begin, dormancy.check):
        with pytest.raises(PeerDormant) as caught:
            ask(peer)
        assert caught.value.retry_after == 3.5
        assert str(caught.value) == (
            f"{peer}: it was not there 3 times in a row; it is asked again in 3.5 s"
        )
        assert caught.value.retry_safe
        assert caught.value.status == 503
        assert isinstance(caught.value, PeerUnreachable)


def test_exactly_one_probe_is_let_out_when_the_time_is_over(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer)
    clock.now += 4.999
    assert is_refused(dormancy, peer)
    clock.now += 0.001
    assert dormancy.is_awake(peer)
    dormancy.check(peer)  # which announces nothing
    assert dormancy.begin(peer) is True
    assert not dormancy.is_awake(peer)
    assert all(is_refused(dormancy, peer) for _ in range(10))
    with pytest.raises(PeerDormant, match="one request is finding out") as caught:
        dormancy.begin(peer)
    assert caught.value.retry_after == 5.0


def test_a_probe_that_succeeds_wakes_it_fully(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer, 3)
    clock.now += 5
    dormancy.begin(peer)
    dormancy.succeeded(peer)
    assert dormancy.begin(peer) is False
    assert dormancy.failing == 0
    fail(dormancy, peer, 2)
    assert dormancy.is_awake(peer)
    fail(dormancy, peer, 1)
    assert dormancy.wait_s(peer) == 5.0


def test_each_probe_that_fails_doubles_the_rest_up_to_the_longest(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock, first_s=5.0, longest_s=60.0)
    fail(dormancy, peer, 3)
    rests = []
    for _ in range(6):
        rests.append(dormancy.wait_s(peer))
        clock.now += dormancy.wait_s(peer)
        fail(dormancy, peer, 1)
    assert rests == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_probe_that_was_cancelled_leaves_the_next_request_to_be_one(
    clock: Clock, peer: Peer
) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer)
    clock.now += 5
    dormancy.abandoned(peer, probe=dormancy.begin(peer))
    assert dormancy.begin(peer) is True
    dormancy.failed(peer)
    assert dormancy.wait_s(peer) == 10.0


def test_a_probe_that_nobody_ends_is_given_up(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock, longest_s=60.0)
    fail(dormancy, peer)
    clock.now += 5
    assert dormancy.begin(peer) is True
    clock.now += 59.9
    assert is_refused(dormancy, peer)
    assert dormancy.wait_s(peer) == pytest.approx(0.1)
    clock.now += 0.1
    assert dormancy.begin(peer) is True


def test_failures_of_requests_from_before_make_no_rest_longer(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock, after=3)
    probes = [dormancy.begin(peer) for _ in range(20)]
    for probe in probes:
        dormancy.failed(peer, probe=probe)
    assert (dormancy.wait_s(peer), dormancy.failures(peer)) == (5.0, 3)
    dormancy.failed(peer)  # no probe is out
    assert (dormancy.wait_s(peer), dormancy.failures(peer)) == (5.0, 3)
    clock.now += 5
    probe = dormancy.begin(peer)
    dormancy.failed(peer, probe=False)
    dormancy.abandoned(peer, probe=False)
    assert dormancy.failures(peer) == 3
    assert is_refused(dormancy, peer)
    dormancy.failed(peer, probe=probe)
    assert (dormancy.wait_s(peer), dormancy.failures(peer)) == (10.0, 4)


def test_an_answer_that_is_not_complete_wakes_it_on_probation(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer)
    clock.now += 5
    probe = dormancy.begin(peer)
    dormancy.answered(peer)
    assert dormancy.begin(peer) is False
    dormancy.failed(peer, probe=probe)
    assert dormancy.wait_s(peer) == 10.0
    clock.now += 10
    dormancy.begin(peer)
    dormancy.answered(peer)
    dormancy.succeeded(peer)
    assert (dormancy.failing, dormancy.is_awake(peer)) == (0, True)


def test_an_answer_to_no_probe_changes_nothing(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    dormancy.answered(peer)
    fail(dormancy, peer, 1)
    dormancy.answered(peer)
    assert dormancy.failures(peer) == 1
    fail(dormancy, peer, 2)
    dormancy.answered(peer)
    assert not dormancy.is_awake(peer)


@pytest.mark.parametrize("change", [{"ip": "192.0.2.2"}, {"port": 8092}])
def test_a_new_endpoint_is_awake_at_once(
    clock: Clock, peer: Peer, change: dict[str, object]
) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer)
    moved = replace(peer, **change)  # type: ignore[arg-type]
    assert dormancy.is_awake(moved)
    assert (dormancy.wait_s(moved), dormancy.failures(moved)) == (0.0, 0)
    dormancy.failed(moved)  # not announced
    dormancy.succeeded(moved)
    assert not dormancy.is_awake(peer)
    assert dormancy.begin(moved) is False
    fail(dormancy, moved, 2)
    dormancy.failed(peer)  # of a request to where it was before
    assert dormancy.failures(moved) == 2
    assert dormancy.is_awake(moved)


def test_what_else_a_peer_publishes_does_not_wake_it(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer)
    assert not dormancy.is_awake(replace(peer, version=2, protocols=("btauth",)))


def test_somebody_who_knows_can_wake_it(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer)
    dormancy.wake(peer)
    dormancy.wake(peer)
    assert dormancy.is_awake(peer)
    assert dormancy.failing == 0


def test_the_jitter_shortens_rests_and_never_lengthens_them(clock: Clock) -> None:
    dormancy = dormancy_on(clock, jitter=0.25, longest_s=5.0, rng=random.Random(1))  # type: ignore[arg-type]
    peers = [peer_of(number) for number in range(400)]
    for peer in peers:
        fail(dormancy, peer)
    rests = [dormancy.wait_s(peer) for peer in peers]
    assert 3.75 <= min(rests) < 3.8
    assert 4.95 < max(rests) <= 5.0
    again = dormancy_on(clock, jitter=0.25, longest_s=5.0, rng=random.Random(1))  # type: ignore[arg-type]
    for peer in peers:
        fail(again, peer)
    assert [again.wait_s(peer) for peer in peers] == rests


def test_memory_is_bounded_and_who_failed_longest_ago_is_forgotten(clock: Clock) -> None:
    dormancy = dormancy_on(clock, most=100, after=1)
    peers = [peer_of(number) for number in range(150)]
    for peer in peers[:100]:
        fail(dormancy, peer, 1)
    clock.now += 5
    fail(dormancy, peers[0], 1)
    for peer in peers[100:]:
        fail(dormancy, peer, 1)
    assert dormancy.failing == 100
    assert not dormancy.is_awake(peers[0])
    assert all(dormancy.is_awake(peer) for peer in peers[1:51])
    assert not any(dormancy.is_awake(peer) for peer in peers[100:])


def test_the_time_of_an_operation_does_not_grow_with_the_peers(clock: Clock) -> None:
    def cost_s(count: int) -> float:
        dormancy = dormancy_on(clock, after=1)
        peers = [peer_of(number) for number in range(count)]
        for peer in peers:
            fail(dormancy, peer, 1)
        some = peers[:: count // 1000]
        best = float("inf")
        for _ in range(5):
            began = time.process_time()
            for peer in some:
                dormancy.is_awake(peer)
                dormancy.wait_s(peer)
                dormancy.failed(peer)
            best = min(best, time.process_time() - began)
        return best

    # Sixteen times the peers; caches account for some of what is allowed.
    assert cost_s(16_000) < 8 * cost_s(1000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"after": 0},
        {"most": 0},
        {"first_s": 0.0},
        {"first_s": 2.0, "longest_s": 1.0},
        {"longest_s": float("inf")},
        {"first_s": float("nan")},
        {"jitter": 1.0},
        {"jitter": -0.1},
    ],
)
def test_what_can_not_be_is_refused(clock: Clock, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"a dormancy's .*{next(iter(wrong))}"):
        dormancy_on(clock, **wrong)


def test_its_text_says_how_many_are_failing(clock: Clock, peer: Peer) -> None:
    dormancy = dormancy_on(clock)
    fail(dormancy, peer, 1)
    assert repr(dormancy) == "<Dormancy after 3 failures, 1 peers failing>"
