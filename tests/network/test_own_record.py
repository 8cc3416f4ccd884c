"""What a hotkey has signed of itself, as `ganglion doctor` reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node import Keypair, Peer, errors

from .backends import BACKENDS, Backend
from .conftest import key

ALICE = key("Alice")
NETUID = 8
KEEPING = ("local", "redis")


@pytest.fixture(params=KEEPING)
def backend(request: pytest.FixtureRequest) -> Backend:
    return BACKENDS[request.param](request)


def read(backend: Backend, hotkey: str = ALICE.ss58_address, kind: str = "serve") -> Any:
    network: Any
    with backend.open() as network:
        return network.record(NETUID, hotkey, kind)


def serve(backend: Backend, ttl_s: float | None) -> None:
    with backend.open() as network:
        network.serve(NETUID, ALICE, Peer(ALICE.ss58_address, "8.8.8.8", 8091), ttl_s)


def test_nothing_was_signed(backend: Backend) -> None:
    assert read(backend) is None
    backend.join(NETUID, ALICE)
    assert read(backend) is None
    assert read(backend, key("Bob").ss58_address, "register") is None


def test_the_newest_is_returned_and_when_it_expires(backend: Backend) -> None:
    backend.join(NETUID, ALICE)
    for ttl_s in (100.0, 200.0):
        serve(backend, ttl_s)
    record = read(backend)
    assert (record.hotkey, record.payload["ip"]) == (ALICE.ss58_address, "8.8.8.8")
    assert record.expires_ns == pytest.approx(backend.clock() + 200e9, abs=30e9)
    assert read(backend, kind="register").expires_ns == 0


def test_one_that_has_expired_is_returned_too(backend: Backend) -> None:
    backend.join(NETUID, ALICE)
    serve(backend, 100.0)
    backend.clock.ahead_ns = 200 * 10**9
    assert read(backend).is_expired(backend.clock())
    with backend.open() as network:
        assert not network.metagraph(NETUID).axons[0].is_serving


def test_inside_a_loop(backend: Backend) -> None:
    backend.join(NETUID, ALICE)

    async def look() -> Any:
        network: Any
        async with backend.open() as network:
            return await network.record(NETUID, ALICE.ss58_address, "register")

    assert asyncio.run(look()).kind == "register"


def test_what_is_no_address(backend: Backend) -> None:
    with pytest.raises(errors.InvalidAddress):
        read(backend, "not-an-address")


def test_only_the_hotkey_s_own_word_counts(backend: Backend) -> None:
    backend.join(NETUID, ALICE)
    assert read(backend, Keypair.generate().ss58_address, "register") is None
