"""A registry in a temporary folder, keys that need no wallet files, and a clock that is set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node import Keypair, Peer
from node.network.local import LocalNetwork

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
