"""A registry in a temporary folder, keys that need no wallet files, and a clock that is set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node import Keypair, Peer
from node.network.local import LocalNetwork
from node.network.redis_network import RedisNetwork
from tests.redis_server import RedisServer

from .redis_content import Raw

START_NS = 1_700_000_000_000_000_000


class FakeClock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


def key(name: str, scheme: str = "sr25519") -> Keypair:
    return Keypair.from_uri(f"//{name}", scheme)


def peer_of(keypair: Keypair, port: int = 8091, ip: str = "127.0.0.1") -> Peer:
    return Peer(keypair.ss58_address, ip, port)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "local.db"


@pytest.fixture
def opened(path: Path, clock: FakeClock) -> Callable[..., LocalNetwork]:
    def make(**options: object) -> LocalNetwork:
        settings = {"clock": clock, "busy_timeout_s": 0.2, **options}
        return LocalNetwork(path, **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def network(opened: Callable[..., LocalNetwork]) -> LocalNetwork:
    return opened()


@pytest.fixture
def redis_network(redis_url: str, clock: FakeClock) -> Iterator[RedisNetwork]:
    with RedisNetwork(redis_url, clock=clock, allow_private=True) as network:
        yield network


@pytest.fixture
def redis_served(redis_network: RedisNetwork) -> RedisNetwork:
    """Alice, Bob and Charlie serve on netuid 8; Alice and Bob have set weights for Charlie."""
    pairs = [key("Alice"), key("Bob"), key("Charlie", "ed25519")]
    for pair in pairs:
        redis_network.register(8, pair)
        redis_network.serve(8, pair, peer_of(pair))
    for pair in pairs[:2]:
        redis_network.set_weights(8, pair, [2], [1])
    return redis_network


@pytest.fixture
def raw(redis_server: RedisServer, redis_url: str) -> Raw:
    return Raw(redis_server, redis_url)
