"""The memory of one host's workers, asked over a socket: one answer for each question, in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from node.errors import OutOfTouch, ReplayedRequest
from node.network.chained import ChainedMemory
from node.network.guard_link import GuardLink
from node.network.guard_wire import ANSWER, Answering, ask_entry, ask_token, say_ready
from node.network.once import OnceMemory

WAIT_S = 5.0


class Guard:
    """The other end of links, on the same loop."""

    def __init__(self, memory: OnceMemory) -> None:
        self.memory = memory
        self.reads: list[int] = []
        self.ready = 0
        self._tasks: list[asyncio.Task[None]] = []

    def _note_ready(self) -> None:
        self.ready += 1

    async def serve(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        answering = Answering(self.memory, self._note_ready)
        self._tasks.append(asyncio.create_task(self._answer(reader, writer, answering)))

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answering: Answering
    ) -> None:
        try:
            while data := await reader.read(2**16):
                self.reads.append(len(data))
                writer.write(answering.feed(data, asyncio.get_running_loop().time()))
        finally:
            writer.close()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def linked(count: int = 1, **memory: int) -> AsyncIterator[tuple[Guard, list[GuardLink]]]:
    guard, links = Guard(OnceMemory(**memory)), [GuardLink() for _ in range(count)]
    for link in links:
        ours, theirs = socket.socketpair()
        await guard.serve(ours)
        await link.open(theirs)
    try:
        yield guard, links
    finally:
        for link in links:
            await link.aclose()
        await guard.stop()


async def taken(link: GuardLink, entry: bytes) -> bool:
    try:
        await link.accept(entry, keep_s=10.0)
    except ReplayedRequest:
        return False
    return True


async def test_one_of_many_that_ask_at_once_takes_an_entry() -> None:
    async with linked(3) as (guard, links):
        for number in range(20):
            entry = b"entry %d" % number
            got = await asyncio.gather(*(taken(link, entry) for link in links for _ in range(5)))
            assert got.count(True) == 1
        assert len(guard.memory) == 20


async def test_questions_of_one_turn_leave_together_and_answers_find_who_asked() -> None:
    async with linked() as (guard, (link,)):
        await link.accept(b"3", keep_s=10.0)
        guard.reads.clear()
        entries = [b"%d" % number for number in range(50)]
        got = await asyncio.gather(*(taken(link, entry) for entry in entries))
        assert got == [entry != b"3" for entry in entries]
        assert len(guard.reads) == 1


async def test_a_token_is_of_all() -> None:
    async with linked(2) as (_, (one, other)):
        assert await one.take_token(b"k", per_second=0.01, burst=1.0) == 0.0
        assert 90 < await other.take_token(b"k", per_second=0.01, burst=1.0) <= 100


async def test_a_full_memory_refuses() -> None:
    async with linked(max_entries=1) as (_, (link,)):
        await link.accept(b"a", keep_s=10.0)
        with pytest.raises(OutOfTouch) as caught:
            await link.accept(b"b", keep_s=10.0)
        assert caught.value.retry_after


async def test_a_worker_says_once_that_it_serves() -> None:
    async with linked() as (guard, (link,)):
        await link.say_ready()
        assert guard.ready == 1


async def test_when_the_guard_goes_all_are_refused_and_the_worker_is_told() -> None:
    link, (ours, theirs) = GuardLink(), socket.socketpair()
    await link.open(theirs)
    waiting = asyncio.ensure_future(link.accept(b"a", keep_s=10.0))
    await asyncio.sleep(0)
    assert not link.lost.is_set()
    ours.close()
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(OutOfTouch):
            await waiting
        await link.lost.wait()
    with pytest.raises(OutOfTouch):
        await link.accept(b"b", keep_s=10.0)
    with pytest.raises(OutOfTouch):
        await link.take_token(b"k", per_second=1.0, burst=1.0)
    await link.aclose()


async def test_a_link_that_is_not_open_takes_nothing() -> None:
    with pytest.raises(OutOfTouch):
        await GuardLink().accept(b"a", keep_s=10.0)


@pytest.fixture
def silent() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()


async def test_an_answer_that_does_not_come_in_time_refuses_only_what_waited_for_it(
    silent: tuple[socket.socket, socket.socket],
) -> None:
    guard, theirs = silent
    loop = asyncio.get_running_loop()
    link = GuardLink(timeout_s=0.05)
    await link.open(theirs)
    async with asyncio.timeout(WAIT_S):
        for entry in (b"a", b"b"):
            with pytest.raises(OutOfTouch):
                await link.accept(entry, keep_s=10.0)
        late = asyncio.ensure_future(link.accept(b"c", keep_s=10.0))
        await asyncio.sleep(0)
        # Its answers come now, and the third is for the third.
        await loop.sock_sendall(guard, b"".join(map(ANSWER.pack, (0.0, 0.0, 1.0))))
        await late
    await link.aclose()


async def test_a_client_that_leaves_takes_nobody_elses_answer(
    silent: tuple[socket.socket, socket.socket],
) -> None:
    guard, theirs = silent
    link = GuardLink()
    await link.open(theirs)
    gone = asyncio.ensure_future(link.accept(b"a", keep_s=10.0))
    stays = asyncio.ensure_future(link.accept(b"b", keep_s=10.0))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.get_running_loop().sock_sendall(guard, ANSWER.pack(0.0) + ANSWER.pack(1.0))
    async with asyncio.timeout(WAIT_S):
        await stays
    await link.aclose()


def test_questions_may_come_in_any_pieces() -> None:
    ready: list[bool] = []
    questions = ask_entry(b"a", 5.0) + ask_entry(b"a", 5.0) + ask_token(b"k", 1.0, 1.0)
    data = questions + say_ready() + ask_entry(b"b", 5.0)
    for size in (1, 7, 48, 49, 50, len(data)):
        answering = Answering(OnceMemory(), lambda: ready.append(True))
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        answers = b"".join(answering.feed(piece, 1.0) for piece in pieces)
        assert [answer for (answer,) in ANSWER.iter_unpack(answers)] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert len(ready) == 6


def test_a_question_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind 9"):
        Answering(OnceMemory(), lambda: None).feed(b"\x09" + bytes(48), 1.0)


class Noting:
    """A memory that notes what it is asked, and refuses or makes wait as it is told."""

    def __init__(self, *, refuses: bool = False, wait_s: float = 0.0) -> None:
        self.refuses, self.wait_s = refuses, wait_s
        self.asked: list[bytes] = []
        self.closed = 0

    async def accept(self, entry: bytes, *, keep_s: float) -> None:
        self.asked.append(entry)
        if self.refuses:
            raise ReplayedRequest("told to")

    async def take_token(self, key: bytes, *, per_second: float, burst: float) -> float:
        self.asked.append(key)
        return self.wait_s

    async def aclose(self) -> None:
        self.closed += 1


async def test_chained_memories_take_only_what_each_takes() -> None:
    near, far = Noting(), Noting()
    chained = ChainedMemory(near, far)
    await chained.accept(b"a", keep_s=1.0)
    assert await chained.take_token(b"k", per_second=1.0, burst=1.0) == 0.0
    assert near.asked == far.asked == [b"a", b"k"]
    far.refuses, far.wait_s = True, 3.0
    with pytest.raises(ReplayedRequest):
        await chained.accept(b"b", keep_s=1.0)
    assert await chained.take_token(b"k", per_second=1.0, burst=1.0) == 3.0
    near.refuses, near.wait_s = True, 2.0
    far.asked.clear()
    with pytest.raises(ReplayedRequest):
        await chained.accept(b"c", keep_s=1.0)
    assert await chained.take_token(b"k", per_second=1.0, burst=1.0) == 2.0
    assert far.asked == []
    await chained.aclose()
    assert near.closed == far.closed == 1
