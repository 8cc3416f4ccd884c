"""Stopping an axon: running replies end within the grace period, the rest is cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from node import Axon, Dendrite, Keypair
from tests.raw_http import RawConnection, signed_request

from .synapses import PATIENCE_S, Echo, Words, undeclared, until


class Worker:
    """A forward that takes its time."""

    def __init__(self) -> None:
        self.started = 0
        self.ended: list[str] = []
        self.go = asyncio.Event()  # for an echo of "held"

    async def words(self, synapse: Words) -> AsyncIterator[str]:
        self.started += 1
        try:
            for number in range(synapse.count):
                yield f"{number} "
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("complete")

    async def echo(self, synapse: Echo) -> Echo:
        self.started += 1
        try:
            if synapse.text == "held":
                await self.go.wait()
            else:
                await asyncio.sleep(float(synapse.text))
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("complete")
        return synapse


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def axon(bob: Keypair, worker: Worker) -> Axon:
    axon = Axon(bob, ip="127.0.0.1", port=0, grace_s=60.0, max_workers=2)
    return axon.attach(worker.words).attach(worker.echo)


async def test_a_running_stream_ends_within_the_grace_period(
    axon: Axon, dendrite: Dendrite, worker: Worker
) -> None:
    await axon.start()
    stream = await dendrite(axon.info(), Words(count=6))
    await until(lambda: worker.started)
    await axon.stop()
    assert worker.ended == ["complete"]
    final = await stream
    assert (final.completion, final.is_success) == ("0 1 2 3 4 5 ", True)


async def test_a_stream_past_the_grace_period_is_cancelled_and_known_to_be_cut(
    axon: Axon, dendrite: Dendrite, worker: Worker
) -> None:
    await axon.start()
    stream = await dendrite(axon.info(), Words(count=1000))
    chunks = stream.chunks()
    assert [await anext(chunks) for _ in range(2)] == ["0 ", "1 "]
    began = time.perf_counter()
    await axon.stop(grace_s=0.3)
    took = time.perf_counter() - began
    assert worker.ended == ["cancelled"]
    assert 0.3 <= took < 20  # where the stream takes 50 s, and the axon's own grace period 60 s
    async for _ in chunks:
        pass
    final = await stream
    assert not final.is_success
    assert final.dendrite.status_code == 503
    assert final.completion.startswith("0 1 ")


async def test_a_unary_call_past_the_grace_period_is_cancelled(
    axon: Axon, dendrite: Dendrite, worker: Worker
) -> None:
    await axon.start()
    call = asyncio.ensure_future(dendrite(axon.info(), Echo(text="30")))
    await until(lambda: worker.started)
    await axon.stop(grace_s=0)
    assert worker.ended == ["cancelled"]
    assert (await call).dendrite.status_code == 503


async def test_waiting_requests_are_served_within_the_grace_period(
    axon: Axon, dendrite: Dendrite, worker: Worker
) -> None:
    await axon.start()
    peer = undeclared(axon)
    calls = [asyncio.ensure_future(dendrite(peer, Echo(text="0.1"))) for _ in range(6)]
    await until(lambda: worker.started == 2)
    await axon.stop()
    assert [reply.dendrite.status_code for reply in await asyncio.gather(*calls)] == [200] * 6


async def test_a_new_request_while_draining_gets_503_with_retry_after(
    axon: Axon, alice: Keypair, worker: Worker
) -> None:
    await axon.start()
    async with (
        await RawConnection.open(axon.port) as idle,
        await RawConnection.open(axon.port) as busy,
    ):
        # The idle connection has been used before, so it stays when the socket closes.
        await idle.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await idle.read_reply()).status == 200
        request = signed_request(alice, axon.hotkey, "/Echo", b'{"text": "held"}')
        await busy.send(request.encode())
        await until(lambda: worker.started)
        stopping = asyncio.create_task(axon.stop())
        await asyncio.sleep(0.1)
        request = signed_request(alice, axon.hotkey, "/Echo", b'{"text": "0"}')
        await idle.send(request.encode())
        refused = await idle.read_reply()
        assert await idle.is_closed_by_peer()
        worker.go.set()
        assert (await busy.read_reply()).status == 200
        await stopping
    assert (refused.status, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.header("Retry-After") or 0) >= 1
    assert worker.started == 1


async def test_no_new_connection_is_taken_while_draining(
    axon: Axon, dendrite: Dendrite, worker: Worker
) -> None:
    await axon.start()
    call = asyncio.ensure_future(dendrite(axon.info(), Echo(text="held")))
    await until(lambda: worker.started)
    stopping = asyncio.create_task(axon.stop())
    await asyncio.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        await RawConnection.open(axon.port)
    worker.go.set()
    assert (await call).is_success
    await stopping


async def test_idle_connections_do_not_hold_a_stop_up(axon: Axon, dendrite: Dendrite) -> None:
    await axon.start()
    await dendrite(axon.info(), Echo(text="0"))
    async with await RawConnection.open(axon.port), await RawConnection.open(axon.port) as half:
        await half.send(b"POST /Echo HTTP/1.1\r\nHost:")
        async with asyncio.timeout(PATIENCE_S):
            await axon.stop()


async def test_stop_twice_and_at_once_is_nothing(axon: Axon, dendrite: Dendrite) -> None:
    await axon.stop()
    await axon.start()
    await dendrite(axon.info(), Echo(text="0"))
    await asyncio.gather(axon.stop(), axon.stop())
    await axon.stop()


async def test_a_stop_that_is_cancelled_leaves_no_forward_running(
    axon: Axon, dendrite: Dendrite, worker: Worker
) -> None:
    await axon.start()
    call = asyncio.ensure_future(dendrite(axon.info(), Echo(text="30")))
    await until(lambda: worker.started)
    stopping = asyncio.create_task(axon.stop(grace_s=30))
    await asyncio.sleep(0.1)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await until(lambda: worker.ended == ["cancelled"])
    assert not (await call).is_success


async def test_leaving_the_block_with_an_exception_stops_the_axon(axon: Axon) -> None:
    with pytest.raises(KeyError):
        async with axon:
            port = axon.port
            raise KeyError("mine")
    with pytest.raises(ConnectionRefusedError):
        await RawConnection.open(port)
