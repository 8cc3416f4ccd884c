from __future__ import annotations

import asyncio
import importlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from node import Keypair
from node.errors import Overloaded, ReplayedRequest
from node.keys import ss58_encode
from node.wire import ReplayGuard, SharedNonceStore, btauth
from tests.raw_http import RawRequest
from tests.security.conftest import Target

S = 1_000_000_000
NOW = 1_700_000_000 * S
BODY = b'{"text": "x"}'


class Clock:
    def __init__(self) -> None:
        self.now_ns = NOW

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard() -> ReplayGuard:
    return ReplayGuard(window_s=15)


@pytest.fixture
def store(guard: ReplayGuard, clock: Clock) -> SharedNonceStore:
    return SharedNonceStore(guard, now_ns=clock)


def http_auth() -> Any:
    """Return `bittensor.http_auth`."""
    return importlib.import_module("bittensor.http_auth")


def verify(store: SharedNonceStore, headers: dict[str, str], receiver: str, **options: Any) -> Any:
    options = {"now_ns": NOW, **options}
    return http_auth().verify(
        headers, BODY, method="POST", path="/x", self_hotkey_ss58=receiver, nonce_store=store,
        **options,
    )  # fmt: skip


def signed(keypair: Keypair, receiver: str, nonce_ns: int = NOW) -> dict[str, str]:
    return btauth.sign(
        keypair, method="POST", target="/x", body=BODY, receiver=receiver, nonce_ns=nonce_ns
    )


def test_a_pair_is_new_once(store: SharedNonceStore, alice: Keypair, bob: Keypair) -> None:
    assert store.check_and_store(alice.ss58_address, NOW) is True
    assert store.check_and_store(alice.ss58_address, NOW) is False
    assert store.check_and_store(alice.ss58_address, NOW + 1) is True
    assert store.check_and_store(bob.ss58_address, NOW) is True


@pytest.mark.parametrize("prefix", [0, 2, 64, 16383])
def test_another_address_of_a_key_is_no_other_sender(
    store: SharedNonceStore, alice: Keypair, prefix: int
) -> None:
    assert store.check_and_store(alice.ss58_address, NOW)
    assert not store.check_and_store(ss58_encode(alice.public_key, prefix), NOW)


def test_what_the_axon_took_is_not_new_and_the_other_way_round(
    store: SharedNonceStore, guard: ReplayGuard, alice: Keypair
) -> None:
    guard.check_and_store(alice.public_key, NOW, now_ns=NOW)
    assert not store.check_and_store(alice.ss58_address, NOW)
    assert store.check_and_store(alice.ss58_address, NOW + 1)
    with pytest.raises(ReplayedRequest):
        guard.check_and_store(alice.public_key, NOW + 1, now_ns=NOW)


@pytest.mark.parametrize("offset_s", [-16, 16])
def test_what_lies_outside_the_window_is_refused(
    store: SharedNonceStore, guard: ReplayGuard, alice: Keypair, offset_s: int
) -> None:
    assert not store.check_and_store(alice.ss58_address, NOW + offset_s * S)
    assert len(guard) == 0


def test_what_was_forgotten_is_refused(
    store: SharedNonceStore, clock: Clock, alice: Keypair
) -> None:
    assert store.check_and_store(alice.ss58_address, NOW)
    clock.now_ns = NOW + 60 * S
    assert store.check_and_store(alice.ss58_address, NOW + 60 * S)  # drops what came before
    clock.now_ns = NOW
    assert not store.check_and_store(alice.ss58_address, NOW)


@pytest.mark.parametrize("address", ["", "alice", "0x" + "00" * 32])
def test_an_address_that_can_not_be_read_is_refused(
    store: SharedNonceStore, guard: ReplayGuard, address: str
) -> None:
    assert not store.check_and_store(address, NOW)
    assert len(guard) == 0


def test_a_full_memory_refuses_and_says_for_how_long(clock: Clock, alice: Keypair) -> None:
    store = SharedNonceStore(ReplayGuard(max_entries=1), now_ns=clock)
    assert store.check_and_store(alice.ss58_address, NOW)
    with pytest.raises(Overloaded) as caught:
        store.check_and_store(alice.ss58_address, NOW + 1)
    assert caught.value.retry_after is not None
    assert not store.check_and_store(alice.ss58_address, NOW)  # nothing was forgotten


class SlowNonce(int):
    """A nonce that lets other threads run between the memory's look and its store."""

    def to_bytes(self, *args: Any, **options: Any) -> bytes:
        time.sleep(0.01)
        return super().to_bytes(*args, **options)


def test_of_many_threads_one_gets_a_nonce_in(
    store: SharedNonceStore, guard: ReplayGuard, alice: Keypair
) -> None:
    threads = 8
    start = threading.Barrier(threads)

    def run(_: int) -> bool:
        start.wait()
        return store.check_and_store(alice.ss58_address, SlowNonce(NOW))

    with ThreadPoolExecutor(threads) as pool:
        taken = list(pool.map(run, range(threads)))
    assert (sum(taken), len(guard)) == (1, 1)


def test_the_repr_is_short(store: SharedNonceStore) -> None:
    assert repr(store) == "SharedNonceStore(ReplayGuard(entries=0, max_entries=262144))"


def test_the_sdk_takes_a_request_once(
    store: SharedNonceStore, guard: ReplayGuard, alice: Keypair, bob: Keypair
) -> None:
    headers = signed(alice, bob.ss58_address)
    caller = verify(store, headers, bob.ss58_address)
    assert (caller.hotkey_ss58, caller.nonce_ns) == (alice.ss58_address, NOW)
    with pytest.raises(http_auth().ReplayedRequest):
        verify(store, headers, bob.ss58_address)
    assert len(guard) == 1


def test_what_the_sdk_took_our_verifier_refuses_and_the_other_way_round(
    store: SharedNonceStore, guard: ReplayGuard, alice: Keypair, bob: Keypair
) -> None:
    first, second = (signed(alice, bob.ss58_address, NOW + each) for each in range(2))
    ours = {"method": "POST", "target": "/x", "receiver": bob.ss58_address, "now_ns": NOW}
    verify(store, first, bob.ss58_address)
    with pytest.raises(ReplayedRequest):
        btauth.verify(first, BODY, guard=guard, **ours)  # type: ignore[arg-type]
    btauth.verify(second, BODY, guard=guard, **ours)  # type: ignore[arg-type]
    with pytest.raises(http_auth().ReplayedRequest):
        verify(store, second, bob.ss58_address)


def test_the_sdk_stores_nothing_for_a_bad_signature(
    store: SharedNonceStore, guard: ReplayGuard, alice: Keypair, bob: Keypair
) -> None:
    headers = signed(alice, bob.ss58_address)
    forged = {**headers, "X-Bittensor-Hotkey": bob.ss58_address}
    with pytest.raises(http_auth().BadSignature):
        verify(store, forged, bob.ss58_address)
    assert len(guard) == 0
    verify(store, headers, bob.ss58_address)


@pytest.mark.parametrize(("max_age", "fits"), [(10.0, True), (13.0, True), (13.5, False)])
def test_the_sdk_refuses_a_memory_that_is_shorter_than_its_window(
    store: SharedNonceStore, alice: Keypair, bob: Keypair, max_age: float, fits: bool
) -> None:
    headers = signed(alice, bob.ss58_address)
    if fits:
        verify(store, headers, bob.ss58_address, max_age=max_age)
    else:
        with pytest.raises(ValueError, match="retains entries for 15s"):
            verify(store, headers, bob.ss58_address, max_age=max_age)


@pytest.mark.parametrize("offset_s", [2, -13])
def test_a_request_at_either_end_of_the_longest_window_is_never_taken_twice(
    store: SharedNonceStore, clock: Clock, alice: Keypair, bob: Keypair, offset_s: int
) -> None:
    headers = signed(alice, bob.ss58_address, NOW + offset_s * S)
    verify(store, headers, bob.ss58_address, max_age=13.0)
    for later_s in range(1, 20):
        clock.now_ns = NOW + later_s * S
        with pytest.raises(http_auth().AuthError):
            verify(store, headers, bob.ss58_address, max_age=13.0, now_ns=clock.now_ns)


async def test_an_app_in_threads_beside_an_axon_takes_each_request_once(
    alice: Keypair, bob: Keypair
) -> None:
    """As FastAPI does it: sync dependencies in threads, the axon on the loop."""
    guard = ReplayGuard(window_s=40)
    store = SharedNonceStore(guard, now_ns=time.time_ns)
    target = Target(bob, alice, guard=guard)

    def app(request: RawRequest) -> bool:
        try:
            http_auth().verify(
                dict(request.headers), request.body, method="POST", path=request.target,
                self_hotkey_ss58=bob.ss58_address, nonce_store=store,
            )  # fmt: skip
        except http_auth().ReplayedRequest:
            return False
        return True

    async with target.axon:
        requests = [target.good() for _ in range(10)]
        for index, request in enumerate(requests):
            if index % 2:
                assert await asyncio.to_thread(app, request)
                await target.check_refused(request, 401, "replayed_request")
            else:
                await target.check_taken(request)
                assert not await asyncio.to_thread(app, request)
    assert len(guard) == len(requests)
