"""Several axons of one hotkey, through HTTP: a request is taken once by all of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from node import Axon, Keypair
from node.network.redis_shared import RedisSharedMemory
from node.network.shared import SharedMemory
from tests.raw_http import RawReply, RawRequest, ask, signed_request
from tests.redis_server import RedisServer
from tests.security.old_requests import ALL, SIGNERS

from .axon_process import AxonProcess
from .synapses import Echo, Words

BODY = b'{"text": "hello"}'
ROUNDS = 40


def good(alice: Keypair, bob: Keypair, **parts: Any) -> RawRequest:
    return signed_request(alice, bob.ss58_address, "/Echo", BODY, **parts)


def code(reply: RawReply) -> str:
    return "ok" if reply.status == 200 else str(reply.json()["code"])


async def post(ports: list[int], request: RawRequest) -> Counter[str]:
    """Send the same bytes to every port at the same time; return how often each code came."""
    sent = request.encode()
    return Counter(map(code, await asyncio.gather(*(ask(port, sent) for port in ports))))


@pytest.fixture(scope="module")
def processes(redis_server: RedisServer) -> Iterator[list[int]]:
    """The ports of two processes with one hotkey."""
    memory = redis_server.url("processes")
    with (
        AxonProcess(memory=memory, protocols=ALL) as first,
        AxonProcess(memory=memory, protocols=ALL) as second,
    ):
        yield [first.port, second.port]
    assert first.complaints == second.complaints == ""


async def test_the_same_bytes_to_two_processes_pass_once(
    processes: list[int], alice: Keypair, bob: Keypair
) -> None:
    for _ in range(ROUNDS):
        codes = await post(processes * 3, good(alice, bob))
        assert codes == {"ok": 1, "replayed_request": 5}


@pytest.mark.parametrize("protocol", ALL)
async def test_in_every_protocol(
    processes: list[int], alice: Keypair, bob: Keypair, protocol: str
) -> None:
    for _ in range(5):
        request = SIGNERS[protocol](alice, bob.ss58_address, "/Echo", BODY)
        assert await post(processes * 2, request) == {"ok": 1, "replayed_request": 3}
        await asyncio.sleep(0.002)  # so that no two nonces are one


async def test_a_nonce_of_one_protocol_is_taken_for_another_too(
    processes: list[int], alice: Keypair, bob: Keypair
) -> None:
    nonce_ns = time.time_ns()
    first, second = (
        SIGNERS[protocol](alice, bob.ss58_address, "/Echo", BODY, nonce_ns=nonce_ns)
        for protocol in ("btauth", "synapse")
    )
    assert code(await ask(processes[0], first)) == "ok"
    assert code(await ask(processes[1], second)) == "replayed_request"


async def test_epistula_requests_of_one_millisecond_are_told_apart(
    processes: list[int], alice: Keypair, bob: Keypair
) -> None:
    nonce_ns = time.time_ns()
    for _ in range(3):
        request = SIGNERS["epistula"](alice, bob.ss58_address, "/Echo", BODY, nonce_ns=nonce_ns)
        assert await post(processes, request) == {"ok": 1, "replayed_request": 1}


async def test_two_callers_may_have_one_nonce(
    processes: list[int], alice: Keypair, bob: Keypair
) -> None:
    nonce_ns = time.time_ns()
    for caller in (alice, Keypair.from_uri("//Charlie")):
        request = good(caller, bob, nonce_ns=nonce_ns)
        assert await post(processes, request) == {"ok": 1, "replayed_request": 1}


class Node:
    """Bob's axon in this process, with a memory of its own connection."""

    def __init__(self, memory: SharedMemory | None, bob: Keypair, **options: Any) -> None:
        self.memory = memory
        self.texts: list[str] = []
        self.axon = Axon(bob, ip="127.0.0.1", port=0, shared=memory, **options)
        self.axon.attach(self.echo).attach(self.words)

    async def echo(self, synapse: Echo) -> Echo:
        self.texts.append(synapse.text)
        return synapse

    async def words(self, synapse: Words) -> AsyncIterator[str]:
        for number in range(synapse.count):
            yield f"{number} "


@asynccontextmanager
async def nodes(
    url: str, bob: Keypair, count: int = 2, **options: Any
) -> AsyncIterator[list[Node]]:
    """Several axons of Bob on one memory."""
    lost = {name: options.pop(name) for name in ("max_lost_s", "timeout_s") if name in options}
    async with AsyncExitStack() as held:
        running = []
        for _ in range(count):
            memory = RedisSharedMemory(url, **lost)
            held.push_async_callback(memory.aclose)
            node = Node(memory, bob, **options)
            await held.enter_async_context(node.axon)
            running.append(node)
        yield running


async def test_what_is_refused_by_the_own_memory_is_not_asked_for(
    redis_url: str, alice: Keypair, bob: Keypair
) -> None:
    class Counting:
        entries: list[bytes]

        def __init__(self) -> None:
            self.entries = []

        async def accept(self, entry: bytes, *, keep_s: float) -> None:
            assert keep_s > 60
            self.entries.append(entry)

        async def take_token(self, key: bytes, *, per_second: float, burst: float) -> float:
            return 0.0

        async def aclose(self) -> None:
            raise AssertionError("the axon did not make it")

    memory = Counting()
    node = Node(memory, bob)
    async with node.axon:
        request = good(alice, bob)
        forged = request.set("X-Bittensor-Signature", "0x" + "00" * 64)
        replies = [await ask(node.axon.port, one) for one in (request, request, forged)]
    assert [reply.status for reply in replies] == [200, 401, 401]
    nonce = int(request.value("X-Bittensor-Nonce")).to_bytes(8, "big")
    assert memory.entries == [bob.public_key + alice.public_key + nonce]


async def test_streams_pass_once_too(redis_url: str, alice: Keypair, bob: Keypair) -> None:
    async with nodes(redis_url, bob) as (first, second):
        request = signed_request(alice, bob.ss58_address, "/Words", b"{}").encode()
        replies = await asyncio.gather(*(ask(node.axon.port, request) for node in (first, second)))
    assert sorted(reply.status for reply in replies) == [200, 401]


async def test_uptime_nonces_are_refused_with_a_shared_memory(
    redis_url: str, alice: Keypair, bob: Keypair
) -> None:
    request = SIGNERS["synapse"](alice, bob.ss58_address, "/Echo", BODY, nonce_ns=5 * 10**12)
    alone = Node(None, bob, protocols=ALL)
    async with alone.axon:
        assert (await ask(alone.axon.port, request)).status == 200
    async with nodes(redis_url, bob, 1, protocols=ALL) as (node,):
        assert code(await ask(node.axon.port, request)) == "stale_request"


async def test_a_rate_is_that_of_all_axons_together(
    redis_url: str, alice: Keypair, bob: Keypair
) -> None:
    async with nodes(redis_url, bob, 3, requests_per_s=2.0) as axons:
        codes: Counter[str] = Counter()
        began = time.monotonic()
        for number in range(12):
            reply = await ask(axons[number % 3].axon.port, good(alice, bob))
            codes[code(reply)] += 1
            if reply.status == 429:
                assert 0 < reply.json()["retry_after_s"] <= 0.5
        # A burst is two seconds' worth; some more came in while the others were sent.
        assert 4 <= codes["ok"] <= 5 + 2.0 * (time.monotonic() - began)
        assert codes["rate_limited"] == 12 - codes["ok"]
        other = good(Keypair.from_uri("//Charlie"), bob)
        assert (await ask(axons[0].axon.port, other)).status == 200


async def until_back(*running: Node) -> None:
    async with asyncio.timeout(10):
        for node in running:
            while node.memory.is_lost:  # type: ignore[union-attr]
                await asyncio.sleep(0.02)


async def test_without_redis_each_serves_alone_and_afterwards_once_again(
    own_redis: RedisServer, alice: Keypair, bob: Keypair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "node.network")
    async with nodes(own_redis.url(), bob) as (first, second):
        ports = [first.axon.port, second.axon.port]
        before = good(alice, bob)
        assert await post(ports, before) == {"ok": 1, "replayed_request": 1}
        await asyncio.to_thread(own_redis.kill)
        for _ in range(3):
            # No process takes it twice; more can't be known without the Redis.
            assert await post(ports * 2, good(alice, bob)) == {"ok": 2, "replayed_request": 2}
        alone = good(alice, bob)
        assert (await ask(ports[0], alone)).status == 200
        await asyncio.to_thread(own_redis.start)
        await until_back(first, second)
        assert await post(ports * 2, good(alice, bob)) == {"ok": 1, "replayed_request": 3}
        assert code(await ask(ports[1], alone)) == "replayed_request"
        assert await post(ports, before) == {"replayed_request": 2}
    assert caplog.text.count("the shared memory is lost") == 2
    assert caplog.text.count("the shared memory is back") == 2


async def test_without_redis_it_may_be_told_to_refuse(
    own_redis: RedisServer, alice: Keypair, bob: Keypair
) -> None:
    async with nodes(own_redis.url(), bob, 1, max_lost_s=0.0) as (node,):
        await asyncio.to_thread(own_redis.kill)
        reply = await ask(node.axon.port, good(alice, bob))
        assert (reply.status, reply.json()["code"]) == (503, "out_of_touch")
        assert reply.json()["retry_after_s"] > 0
        assert reply.header("Retry-After")
        assert node.texts == []
        await asyncio.to_thread(own_redis.start)
        await until_back(node)
        assert (await ask(node.axon.port, good(alice, bob))).status == 200


async def test_kills_and_restarts_under_load_let_nothing_pass_twice_while_redis_is_up(
    own_redis: RedisServer, alice: Keypair, bob: Keypair
) -> None:
    """Every request is sent to both; both may take it only if one of them had lost the Redis."""
    async with nodes(own_redis.url(), bob) as (first, second):
        ports = [first.axon.port, second.axon.port]
        twice_while_up = 0
        stop = asyncio.Event()

        def is_lost() -> bool:
            return any(node.memory.is_lost for node in (first, second))  # type: ignore[union-attr]

        async def load() -> None:
            nonlocal twice_while_up
            while not stop.is_set():
                # A loss lasts far longer than a request, so it shows before or after.
                was_up = not is_lost()
                codes = await post(ports, good(alice, bob))
                if codes["ok"] == 2 and was_up and not is_lost():
                    twice_while_up += 1

        loads = [asyncio.create_task(load()) for _ in range(4)]
        for _ in range(2):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(own_redis.kill)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(own_redis.start)
            await until_back(first, second)
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*loads)
    assert twice_while_up == 0
