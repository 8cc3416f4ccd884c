"""Nets under every test: nothing blocks the event loop, no task outlives its test."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from node import Axon, Dendrite, Keypair

from .redis_server import RedisServer, require_redis

# Machines that run tests are noisy: how long an example took says nothing.
settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noisy")

# Where the suite was started in the background of a script, Ctrl-C is ignored by it and by all
# programs that it starts, some of which tests end that way.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail a test in which code of ours makes a blocking call on the event loop."""
    with blockbuster_ctx(["node", "protocols"]) as blockbuster:
        for function in blockbuster.functions.values():
            # The official SDK has a loop and a thread to itself there, and reads its caches in it.
            function.can_block_in("node/network/chain_link.py", "_main")
        yield blockbuster


@pytest.fixture(autouse=True)
async def no_stray_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task running."""
    before = asyncio.all_tasks()
    yield
    for _ in range(500):
        stray = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not stray:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"tasks outlived the test: {[task.get_name() for task in stray]}")


@pytest.fixture
async def skip_ahead(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Puts the clock of the event loop forward: `skip_ahead(seconds)`.

    With it a deadline may be so long that no busy machine runs into it by itself, and passes at
    once all the same.
    """
    loop = asyncio.get_running_loop()
    own_time, ahead_s = loop.time, 0.0

    def skip(seconds: float) -> None:
        nonlocal ahead_s
        ahead_s += seconds

    monkeypatch.setattr(loop, "time", lambda: own_time() + ahead_s)
    return skip


@pytest.fixture(scope="session")
def alice() -> Keypair:
    """A caller."""
    return Keypair.from_uri("//Alice")


@pytest.fixture(scope="session")
def bob() -> Keypair:
    """A node."""
    return Keypair.from_uri("//Bob")


@pytest.fixture
def axon(bob: Keypair) -> Axon:
    """Bob's axon on loopback, on a free port; not started, so that the test can attach first."""
    return Axon(bob, ip="127.0.0.1", port=0)


@pytest.fixture
async def dendrite(alice: Keypair) -> AsyncIterator[Dendrite]:
    """Alice's dendrite."""
    async with Dendrite(alice) as dendrite:
        yield dendrite


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that runs, for all tests; a test that stops it starts it again."""
    require_redis()
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of a registry on that Redis that no other test uses."""
    return redis_server.url(prefix=f"test-{uuid4().hex}")


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that runs for one test alone, which may kill and freeze it."""
    require_redis()
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    yield server
    server.stop()
