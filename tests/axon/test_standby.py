"""Where one client asks alone, a task stands ready for its next request; and goes when it goes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from node import Axon, Keypair
from tests.functional.synapses import Echo
from tests.raw_http import RawConnection

from .serving import request_of, standing_ready

PAGE = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


async def get(connection: RawConnection) -> None:
    await connection.send(PAGE)
    assert (await connection.read_reply()).status == 200


async def until(count: int) -> None:
    async with asyncio.timeout(5):
        while len(standing_ready()) != count:
            await asyncio.sleep(0.001)


async def test_it_stands_ready_from_the_second_request_on(axon: Axon) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await get(connection)
        assert standing_ready() == []
        for _ in range(3):
            await get(connection)
            await until(1)
    assert standing_ready() == []


async def test_the_task_that_stood_ready_serves_one_request_only(
    axon: Axon, alice: Keypair
) -> None:
    tasks: list[asyncio.Task[object] | None] = []
    ready: list[asyncio.Task[object]] = []

    async def echo(synapse: Echo) -> Echo:
        tasks.append(asyncio.current_task())
        return synapse

    async with axon.attach(echo), await RawConnection.open(axon.port) as connection:
        for _ in range(4):
            ready.extend(standing_ready())
            await connection.send(request_of(alice, axon))
            assert (await connection.read_reply()).status == 200
    assert len(set(tasks)) == 4
    assert tasks[2:] == ready


async def test_none_stands_ready_where_several_ask_by_turns(axon: Axon) -> None:
    async with axon, AsyncExitStack() as stack:
        both = [
            await stack.enter_async_context(await RawConnection.open(axon.port)) for _ in range(2)
        ]
        for _ in range(3):
            for connection in both:
                await get(connection)
                assert standing_ready() == []


async def test_it_goes_when_its_client_goes(axon: Axon) -> None:
    async with axon:
        async with await RawConnection.open(axon.port) as connection:
            await get(connection)
            await get(connection)
            await until(1)
        await until(0)


async def test_none_is_left_when_an_axon_has_stopped(axon: Axon) -> None:
    await axon.start()
    async with await RawConnection.open(axon.port) as connection:
        await get(connection)
        await get(connection)
        await until(1)
        before = standing_ready()
        await axon.stop()
        assert all(task.done() for task in before)


async def test_a_request_is_served_though_somebody_cancelled_what_stood_ready(axon: Axon) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await get(connection)
        await get(connection)
        await until(1)
        standing_ready()[0].cancel()
        await get(connection)
        await get(connection)
        await until(1)


async def test_a_client_that_leaves_ends_the_forward_that_stood_ready(
    axon: Axon, alice: Keypair
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def echo(synapse: Echo) -> Echo:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return synapse

    async with axon.attach(echo):
        async with await RawConnection.open(axon.port) as connection:
            await get(connection)
            await get(connection)
            await until(1)
            await connection.send(request_of(alice, axon))
            async with asyncio.timeout(5):
                await began.wait()
        async with asyncio.timeout(5):
            await ended.wait()


@pytest.mark.parametrize("count", [2, 50])
async def test_pipelined_requests_after_one_stood_ready_are_all_answered(
    axon: Axon, count: int
) -> None:
    async with axon, await RawConnection.open(axon.port) as connection:
        await get(connection)
        await get(connection)
        await until(1)
        await connection.send(PAGE * count)
        assert [(await connection.read_reply()).status for _ in range(count)] == [200] * count
