"""Nets under every test: nothing blocks the event loop, no task outlives its test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from node import Axon, Dendrite, Keypair

# Machines that run tests are noisy: how long an example took says nothing.
settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noisy")


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail a test in which code of ours makes a blocking call on the event loop."""
    with blockbuster_ctx(["node", "protocols"]) as blockbuster:
        yield blockbuster


@pytest.fixture(autouse=True)
async def no_stray_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task running."""
    before = asyncio.all_tasks()
    yield
    for _ in range(50):
        stray = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not stray:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"tasks outlived the test: {[task.get_name() for task in stray]}")


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
