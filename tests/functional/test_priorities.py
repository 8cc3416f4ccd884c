"""When all workers are busy, waiting requests start by priority; the queue is bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from node import Axon, Caller, Dendrite, Keypair
from tests.raw_http import ask, signed_request

from .synapses import Echo, Words, undeclared, until


class Gate:
    """An axon with one worker that a test keeps busy."""

    def __init__(self, keypair: Keypair, max_queue: int = 100, max_workers: int = 1) -> None:
        self.order: list[str] = []
        self.open = asyncio.Event()
        self.axon = Axon(
            keypair, ip="127.0.0.1", port=0, max_workers=max_workers, max_queue=max_queue
        )

    async def echo(self, synapse: Echo) -> Echo:
        self.order.append(synapse.text)
        await self.open.wait()
        return synapse

    def priority(self, synapse: Echo) -> float:
        return float(synapse.text.partition(":")[2] or 0)

    @property
    def waiting(self) -> int:
        return self.axon._slots.waiting

    async def ask(self, dendrite: Dendrite, *texts: str) -> list[asyncio.Task[Echo]]:
        """Send requests so that they arrive in this order."""
        tasks = []
        for text in texts:
            known = len(self.order) + self.waiting
            call = dendrite(undeclared(self.axon), Echo(text=text))
            tasks.append(asyncio.ensure_future(call))
            await until(lambda known=known, task=tasks[-1]: self._seen(known) or task.done())  # type: ignore[misc]
        return tasks

    def _seen(self, known: int) -> bool:
        return len(self.order) + self.waiting > known


@pytest.fixture
def gate(bob: Keypair) -> Gate:
    gate = Gate(bob)
    gate.axon.attach(gate.echo, priority_fn=gate.priority)
    return gate


async def test_waiting_requests_start_by_priority(gate: Gate, dendrite: Dendrite) -> None:
    async with gate.axon:
        calls = await gate.ask(
            dendrite, "running", "low:-5", "mid:1", "top:9.5", "none", "most:inf"
        )
        assert gate.order == ["running"]
        gate.open.set()
        replies = await asyncio.gather(*calls)
    assert gate.order == ["running", "most:inf", "top:9.5", "mid:1", "none", "low:-5"]
    assert all(reply.is_success for reply in replies)


async def test_equal_priorities_start_in_order_of_arrival(gate: Gate, dendrite: Dendrite) -> None:
    async with gate.axon:
        calls = await gate.ask(dendrite, "running", "a:1", "b:1", "c:1", "d:1")
        gate.open.set()
        await asyncio.gather(*calls)
    assert gate.order == ["running", "a:1", "b:1", "c:1", "d:1"]


async def test_a_full_queue_answers_503_with_retry_after(bob: Keypair, alice: Keypair) -> None:
    gate = Gate(bob, max_queue=2)
    gate.axon.attach(gate.echo)
    async with gate.axon, Dendrite(alice) as dendrite:
        calls = await gate.ask(dendrite, "running", "one", "two")
        request = signed_request(alice, gate.axon.hotkey, "/Echo", b'{"text": "three"}')
        raw = await ask(gate.axon.port, request)
        refused = await dendrite(undeclared(gate.axon), Echo(text="four"))
        gate.open.set()
        replies = await asyncio.gather(*calls)
    assert (raw.status, raw.json()["code"]) == (503, "overloaded")
    assert int(raw.header("Retry-After") or 0) >= 1
    assert refused.dendrite.status_code == 503
    assert all(reply.is_success for reply in replies)
    assert gate.order == ["running", "one", "two"]


async def test_a_higher_priority_takes_the_lowest_place_of_a_full_queue(
    bob: Keypair, alice: Keypair
) -> None:
    gate = Gate(bob, max_queue=2)
    gate.axon.attach(gate.echo, priority_fn=gate.priority)
    async with gate.axon, Dendrite(alice) as dendrite:
        running, low, mid = await gate.ask(dendrite, "running", "low:1", "mid:2")
        top = asyncio.ensure_future(dendrite(undeclared(gate.axon), Echo(text="top:3")))
        evicted = await asyncio.wait_for(low, 2)
        refused = await dendrite(undeclared(gate.axon), Echo(text="low:1"))
        gate.open.set()
        replies = await asyncio.gather(running, mid, top)
    assert evicted.dendrite.status_code == refused.dendrite.status_code == 503
    assert all(reply.is_success for reply in replies)
    assert gate.order == ["running", "top:3", "mid:2"]


async def test_no_queue_refuses_whatever_can_not_start(bob: Keypair, alice: Keypair) -> None:
    gate = Gate(bob, max_queue=0)
    gate.axon.attach(gate.echo)
    async with gate.axon, Dendrite(alice) as dendrite:
        (running,) = await gate.ask(dendrite, "running")
        refused = await dendrite(undeclared(gate.axon), Echo(text="second"))
        gate.open.set()
        assert (await running).is_success
    assert refused.dendrite.status_code == 503


async def test_max_workers_is_how_many_forwards_run_at_once(bob: Keypair, alice: Keypair) -> None:
    gate = Gate(bob, max_workers=3)
    gate.axon.attach(gate.echo)
    async with gate.axon, Dendrite(alice) as dendrite:
        calls = await gate.ask(dendrite, "a", "b", "c", "d", "e")
        assert gate.order == ["a", "b", "c"]
        gate.open.set()
        await asyncio.gather(*calls)
    assert gate.order == ["a", "b", "c", "d", "e"]


async def test_a_sync_forward_waits_by_priority_too(bob: Keypair, alice: Keypair) -> None:
    gate, go = Gate(bob), threading.Event()

    def echo(synapse: Echo) -> Echo:
        gate.order.append(synapse.text)
        go.wait(5)
        return synapse

    gate.axon.attach(echo, priority_fn=gate.priority)
    async with gate.axon, Dendrite(alice) as dendrite:
        calls = await gate.ask(dendrite, "running", "low:1", "top:2")
        go.set()
        await asyncio.gather(*calls)
    assert gate.order == ["running", "top:2", "low:1"]


async def test_a_stream_keeps_its_place_until_its_last_chunk(bob: Keypair, alice: Keypair) -> None:
    gate = Gate(bob)
    last = asyncio.Event()

    async def words(synapse: Words) -> AsyncIterator[str]:
        gate.order.append("stream")
        yield "first"
        await last.wait()
        gate.order.append("stream ends")

    gate.axon.attach(words).attach(gate.echo)
    gate.open.set()
    async with gate.axon, Dendrite(alice) as dendrite:
        stream = await dendrite(undeclared(gate.axon), Words())
        chunks = stream.chunks()
        assert await anext(chunks) == "first"
        waiting = asyncio.ensure_future(dendrite(undeclared(gate.axon), Echo(text="echo")))
        await until(lambda: gate.waiting == 1)
        last.set()
        assert (await waiting).is_success
        assert [chunk async for chunk in chunks] == []
    assert gate.order == ["stream", "stream ends", "echo"]


async def test_priority_may_depend_on_the_verified_caller(
    bob: Keypair, alice: Keypair, gate: Gate
) -> None:
    gate = Gate(bob)

    async def priority(synapse: Echo, caller: Caller) -> float:
        return 1.0 if caller.hotkey == alice.ss58_address else 0.0

    gate.axon.attach(gate.echo, priority_fn=priority)
    stranger = Keypair.from_uri("//Charlie")
    async with gate.axon, Dendrite(alice) as known, Dendrite(stranger) as unknown:
        calls = await gate.ask(unknown, "running", "stranger")
        calls += await gate.ask(known, "alice")
        gate.open.set()
        await asyncio.gather(*calls)
    assert gate.order == ["running", "alice", "stranger"]
