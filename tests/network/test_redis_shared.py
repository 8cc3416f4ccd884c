"""The memory that axons share, against a Redis that runs, hangs, is killed and comes back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node import errors
from node.network.redis_shared import RedisSharedMemory
from node.network.shared import SharedMemory, open_shared_memory
from tests.redis_server import RedisServer

ENTRY = b"receiver sender nonce"
KEEP_S = 300.0
WAIT_S = 20.0  # for a Redis that runs, on a machine that is busy


class Monotonic:
    """A clock that can be set ahead."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[tuple[RedisSharedMemory, RedisSharedMemory]]:
    """The memory as two processes have it."""
    first, second = (RedisSharedMemory(redis_url, timeout_s=WAIT_S) for _ in range(2))
    yield first, second
    await first.aclose()
    await second.aclose()


async def test_an_entry_is_taken_once_by_all(
    two: tuple[RedisSharedMemory, RedisSharedMemory],
) -> None:
    first, second = two
    for number in range(20):
        entry = b"%d" % number
        outcomes = await asyncio.gather(
            *(memory.accept(entry, keep_s=KEEP_S) for memory in (first, second) * 5),
            return_exceptions=True,
        )
        assert outcomes.count(None) == 1
        refused = [outcome for outcome in outcomes if outcome is not None]
        assert all(isinstance(outcome, errors.ReplayedRequest) for outcome in refused)


async def test_entries_are_told_apart_and_forgotten_in_time(
    two: tuple[RedisSharedMemory, RedisSharedMemory],
) -> None:
    first, second = two
    await first.accept(b"a", keep_s=KEEP_S)
    await second.accept(b"b", keep_s=KEEP_S)
    await first.accept(b"short", keep_s=0.2)
    await asyncio.sleep(0.25)
    await second.accept(b"short", keep_s=0.2)
    with pytest.raises(errors.ReplayedRequest):
        await second.accept(b"a", keep_s=KEEP_S)


async def test_memories_with_other_prefixes_are_apart(redis_server: RedisServer) -> None:
    for prefix in ("apart-1", "apart-2"):
        memory: SharedMemory = open_shared_memory(redis_server.url(prefix))
        await memory.accept(ENTRY, keep_s=1.0)
        await memory.aclose()


async def test_tokens_are_drawn_from_one_bucket(
    two: tuple[RedisSharedMemory, RedisSharedMemory],
) -> None:
    first, second = two
    waits = [
        await memory.take_token(b"k", per_second=0.01, burst=4.0) for memory in (first, second) * 3
    ]
    assert waits[:4] == [0.0] * 4
    assert all(80 < wait <= 100 for wait in waits[4:])
    assert await first.take_token(b"other", per_second=0.01, burst=4.0) == 0.0
    for memory in (first, second):
        waits = [await memory.take_token(b"quick", per_second=5.0, burst=1.0) for _ in range(2)]
        await asyncio.sleep(max(waits) + 0.02)
        assert await memory.take_token(b"quick", per_second=5.0, burst=1.0) == 0.0


async def test_a_bucket_that_somebody_spoilt_is_a_full_one(
    redis_server: RedisServer, redis_url: str
) -> None:
    memory = RedisSharedMemory(redis_url, timeout_s=WAIT_S)
    await memory.take_token(b"k", per_second=1.0, burst=1.0)
    keys = redis_server.command("KEYS", f"{memory._address.prefix}:pace:*")
    name = keys.split(b"\r\n")[2]
    redis_server.command("HSET", name, "tokens", "x" * 1000, "since", "nan")
    assert await memory.take_token(b"k", per_second=1.0, burst=1.0) >= 0.0
    redis_server.command("SET", name, "x")
    assert await memory.take_token(b"k", per_second=1.0, burst=1.0) == 0.0
    assert not memory.is_lost
    await memory.aclose()


async def test_a_lost_reply_is_no_replay(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = RedisSharedMemory(redis_url, timeout_s=WAIT_S)
    run = memory._link.run
    failed: list[str] = []

    async def lose_first_reply(*args: Any) -> object:
        reply = await run(*args)
        if not failed:
            failed.append("once")
            raise errors.NetworkError("the reply was lost")
        return reply

    monkeypatch.setattr(memory._link, "run", lose_first_reply)
    await memory.accept(ENTRY, keep_s=KEEP_S)
    assert failed
    with pytest.raises(errors.ReplayedRequest):
        await memory.accept(ENTRY, keep_s=KEEP_S)
    await memory.aclose()


async def test_nothing_is_taken_on_a_guess_while_redis_answers(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = RedisSharedMemory(redis_url, timeout_s=WAIT_S)

    async def fail(*args: Any) -> object:
        raise errors.NetworkError("no memory left")

    monkeypatch.setattr(memory._link, "run", fail)
    with pytest.raises(errors.OutOfTouch) as caught:
        await memory.accept(ENTRY, keep_s=KEEP_S)
    assert caught.value.retry_after
    assert await memory.take_token(b"k", per_second=1.0, burst=1.0) == 0.0
    assert not memory.is_lost
    await memory.aclose()


async def until_back(memory: RedisSharedMemory) -> None:
    async with asyncio.timeout(30):
        while memory.is_lost:
            await asyncio.sleep(0.02)


async def test_lost_and_back(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "node.network")
    first, second = (RedisSharedMemory(own_redis.url(), max_lost_s=60.0) for _ in range(2))
    await first.accept(b"before", keep_s=KEEP_S)
    await asyncio.to_thread(own_redis.kill)
    # Each goes on alone, and says so once.
    await asyncio.gather(*(first.accept(b"%d" % number, keep_s=KEEP_S) for number in range(600)))
    await second.accept(b"0", keep_s=KEEP_S)
    assert first.is_lost
    assert await first.take_token(b"k", per_second=1.0, burst=1.0) == 0.0
    lost = [record for record in caplog.records if "is lost" in record.getMessage()]
    assert len(lost) == 2
    assert "for 60 s each process guards itself alone" in lost[0].getMessage()
    await asyncio.to_thread(own_redis.start)
    await asyncio.gather(until_back(first), until_back(second))
    assert caplog.text.count("the shared memory is back after") == 2
    # What either took alone, and what was taken before, is known to both now.
    for entry in (b"before", b"0", b"17", b"599"):
        for memory in (first, second):
            with pytest.raises(errors.ReplayedRequest):
                await memory.accept(entry, keep_s=KEEP_S)
    await first.aclose()
    await second.aclose()


async def test_it_is_told_what_it_missed_before_it_is_asked_again(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (RedisSharedMemory(own_redis.url(), timeout_s=WAIT_S) for _ in range(2))
    await asyncio.to_thread(own_redis.kill)
    await first.accept(b"alone", keep_s=KEEP_S)
    tell = first._tell_batch

    async def tell_and_take_more() -> None:
        await tell()
        if len(told) < 3:
            told.append(b"more %d" % len(told))
            await first.accept(told[-1], keep_s=KEEP_S)  # still on its own

    told: list[bytes] = []
    monkeypatch.setattr(first, "_tell_batch", tell_and_take_more)
    await asyncio.to_thread(own_redis.start)
    await until_back(first)
    assert len(told) == 3
    for entry in (b"alone", *told):
        with pytest.raises(errors.ReplayedRequest):
            await second.accept(entry, keep_s=KEEP_S)
    await first.aclose()
    await second.aclose()


async def test_after_a_time_alone_it_refuses(own_redis: RedisServer) -> None:
    clock = Monotonic()
    memory = RedisSharedMemory(own_redis.url(), timeout_s=WAIT_S, max_lost_s=60.0, clock=clock)
    await asyncio.to_thread(own_redis.kill)
    await memory.accept(b"1", keep_s=KEEP_S)
    clock.ahead_s = 59.0
    await memory.accept(b"2", keep_s=KEEP_S)
    clock.ahead_s = 61.0
    with pytest.raises(errors.OutOfTouch) as caught:
        await memory.accept(b"3", keep_s=KEEP_S)
    assert caught.value.retry_after
    await asyncio.to_thread(own_redis.start)
    await until_back(memory)
    await memory.accept(b"3", keep_s=KEEP_S)
    await memory.aclose()


async def test_it_may_refuse_at_once(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    memory = RedisSharedMemory(own_redis.url(), timeout_s=WAIT_S, max_lost_s=0.0)
    await asyncio.to_thread(own_redis.kill)
    for _ in range(3):
        with pytest.raises(errors.OutOfTouch):
            await memory.accept(ENTRY, keep_s=KEEP_S)
    assert caplog.text.count("requests are refused until it is back") == 1
    await asyncio.to_thread(own_redis.start)
    await until_back(memory)
    await memory.accept(ENTRY, keep_s=KEEP_S)
    await memory.aclose()


async def test_one_that_hangs_is_lost_too(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = RedisSharedMemory(own_redis.url(), timeout_s=0.2)
    await memory.accept(b"0", keep_s=KEEP_S)
    own_redis.freeze()
    began = time.monotonic()
    await asyncio.gather(*(memory.accept(b"a%d" % n, keep_s=KEEP_S) for n in range(100)))
    assert memory.is_lost
    assert time.monotonic() - began < 10.0  # where 100 one after another take 20 s
    run, asking = memory._link.run, list[Any]()

    async def noted(*args: Any) -> object:
        asking.append(asyncio.current_task())
        return await run(*args)

    monkeypatch.setattr(memory._link, "run", noted)
    await memory.accept(b"b", keep_s=KEEP_S)
    assert asyncio.current_task() not in asking  # only who looks whether it is back asks it
    own_redis.thaw()
    await until_back(memory)
    with pytest.raises(errors.ReplayedRequest):
        await memory.accept(b"b", keep_s=KEEP_S)
    await memory.aclose()


async def test_what_was_taken_alone_is_bounded(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.network.redis_shared._MAX_BACKLOG", 3)
    clock = Monotonic()
    memory = RedisSharedMemory(own_redis.url(), timeout_s=WAIT_S, clock=clock)
    await asyncio.to_thread(own_redis.kill)
    for number in range(3):
        await memory.accept(b"%d" % number, keep_s=KEEP_S)
    with pytest.raises(errors.OutOfTouch):
        await memory.accept(b"3", keep_s=KEEP_S)
    clock.ahead_s = KEEP_S + 1  # the others need not be known any more
    await memory.accept(b"3", keep_s=KEEP_S)
    await memory.aclose()


async def test_checking(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    memory = RedisSharedMemory(own_redis.url(), timeout_s=WAIT_S)
    await memory.check()
    assert caplog.text == ""
    await asyncio.to_thread(own_redis.command, "CONFIG", "SET", "maxmemory", "100mb")
    await memory.check()
    assert caplog.text == ""
    await asyncio.to_thread(own_redis.command, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    await memory.check()
    assert "evicts keys when its memory is full (allkeys-lru)" in caplog.text
    await asyncio.to_thread(own_redis.kill)
    with pytest.raises(errors.NetworkError, match="can't be reached"):
        await memory.check()
    await memory.aclose()


async def test_closing_while_it_is_lost(own_redis: RedisServer) -> None:
    memory = RedisSharedMemory(own_redis.url(), timeout_s=WAIT_S)
    await asyncio.to_thread(own_redis.kill)
    await memory.accept(ENTRY, keep_s=KEEP_S)
    assert repr(memory).endswith(", lost>")
    await memory.aclose()
    await memory.aclose()


async def test_nothing_is_open_after_closing(own_redis: RedisServer) -> None:
    memory = RedisSharedMemory(own_redis.url(), timeout_s=WAIT_S)
    await asyncio.gather(*(memory.accept(b"%d" % n, keep_s=KEEP_S) for n in range(100)))
    await memory.aclose()
    await asyncio.sleep(0.05)
    clients = await asyncio.to_thread(own_redis.command, "CLIENT", "LIST")
    assert clients.count(b"cmd=") == 1


@pytest.mark.parametrize("options", [{"max_lost_s": -1.0}, {"timeout_s": 0.0}])
def test_numbers_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError):
        RedisSharedMemory("redis://h", **options)
