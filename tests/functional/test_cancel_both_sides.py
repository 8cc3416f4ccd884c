"""However one side leaves a stream, the other stops within a second and nothing is left open."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Stream
from node.errors import StreamInterrupted
from node.synapse import Send, StreamingReply

from .open_sockets import open_sockets
from .synapses import Words, until

ROOT = Path(__file__).parent.parent.parent


class Miner:
    """Forwards of every form that go on for ever, in the stage that a test asks for.

    The stage is told by the question: 0 before the first chunk, 1 between chunks, 2 while the
    reader holds it back.
    """

    def __init__(self) -> None:
        self.started = 0
        self.ended: list[float] = []
        self.stop_threads = threading.Event()

    async def generator(self, synapse: Words) -> AsyncIterator[bytes]:
        self.started += 1
        try:
            while synapse.count == 2:
                yield b"x" * 65_536
            for _ in range(synapse.count):
                yield b"first"
            await asyncio.sleep(60)
        finally:
            self.ended.append(time.perf_counter())

    def streamer(self, synapse: Words) -> StreamingReply:
        async def send_all(send: Send) -> None:
            async for chunk in self.generator(synapse):
                await send({"body": chunk, "more_body": True})

        return synapse.create_streaming_response(send_all)

    def sync_generator(self, synapse: Words) -> Iterator[bytes]:
        self.started += 1
        try:
            while synapse.count == 2:
                yield b"x" * 65_536
            while not self.stop_threads.wait(0.02):
                # A thread can't be stopped, only its next item refused.
                yield b"next"
        finally:
            self.ended.append(time.perf_counter())


@pytest.fixture
def miner() -> Iterator[Miner]:
    miner = Miner()
    yield miner
    miner.stop_threads.set()


class Held:
    """A stream in the middle, and every way to leave it."""

    def __init__(self, axon: Axon, dendrite: Dendrite, miner: Miner, stage: int) -> None:
        self.axon, self.dendrite, self.miner, self.stage = axon, dendrite, miner, stage
        self.stream: Stream | None = None
        self.reading: asyncio.Task[Any] | None = None

    async def begin(self, timeout: float) -> None:
        """Open the stream and read it in a task until it stands where it should."""
        question = Words(count=self.stage)
        self.stream = await self.dendrite(self.axon.info(), question, timeout=timeout)
        self.reading = asyncio.create_task(self._read())
        await until(lambda: self.miner.started)
        if self.stage == 2:
            await asyncio.sleep(0.2)  # all buffers are full

    async def _read(self) -> None:
        assert self.stream is not None
        async for _ in self.stream.chunks():
            if self.stage == 2:
                await asyncio.sleep(60)

    async def leave(self, how: str) -> None:
        assert self.stream is not None
        assert self.reading is not None
        if how == "aclose":
            await self.stream.aclose()
        elif how == "cancel":
            await self.finish()
        elif how == "dendrite.aclose":
            await self.dendrite.aclose()
        elif how == "drop":
            await self.finish()
            self.stream = None
            gc.collect()
        # A deadline is left to pass by itself.

    async def finish(self) -> None:
        assert self.reading is not None
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)


async def check_all_is_free(axon: Axon, dendrite: Dendrite, sockets: int) -> None:
    await until(lambda: axon._slots._free == axon._max_workers)
    assert axon._server is not None
    await until(lambda: not axon._server._running)  # type: ignore[union-attr]
    await until(lambda: not dendrite._pumps)
    await until(lambda: open_sockets() == sockets)


HOW = ["aclose", "cancel", "dendrite.aclose", "drop", "deadline"]
# A deadline stands still while its own reader holds the stream back.
STAGES = [(how, stage) for how in HOW for stage in (0, 1, 2) if (how, stage) != ("deadline", 2)]


@pytest.mark.parametrize("form", ["generator", "streamer", "sync_generator"])
@pytest.mark.parametrize(("how", "stage"), STAGES)
async def test_a_reader_that_leaves_ends_the_forward_within_1_s(
    axon: Axon, alice: Keypair, miner: Miner, how: str, stage: int, form: str
) -> None:
    axon.attach(getattr(miner, form))
    async with axon, Dendrite(alice) as dendrite:
        sockets = open_sockets()
        held = Held(axon, dendrite, miner, stage)
        await held.begin(timeout=0.3 if how == "deadline" else 60)
        left = time.perf_counter()
        await held.leave(how)
        await until(lambda: miner.ended, within_s=1.5)
        assert miner.ended[0] - left < (1.3 if how == "deadline" else 1.0)
        await held.finish()
        await check_all_is_free(axon, dendrite, sockets)


@pytest.mark.parametrize("how", ["break", "async with", "error in the loop", "merge", "fan_out"])
async def test_a_loop_that_is_left_ends_the_forward_within_1_s(
    axon: Axon, dendrite: Dendrite, miner: Miner, how: str
) -> None:
    axon.attach(miner.generator)
    async with axon:
        sockets = open_sockets()
        question = Words(count=1)
        if how == "break":
            async for _ in dendrite.stream(axon.info(), question):
                break
        elif how == "async with":
            async with dendrite.stream(axon.info(), question):
                await until(lambda: miner.started)
        elif how == "error in the loop":
            with pytest.raises(KeyError):
                async for _ in dendrite.stream(axon.info(), question):
                    raise KeyError
        elif how == "merge":
            async for _ in dendrite.merge(await dendrite([axon.info()] * 2, question)):
                break
        else:
            async with dendrite.fan_out([axon.info()] * 2, question) as streams:
                await until(lambda: miner.started == 2)
            assert all(stream.done for stream in streams)
        left = time.perf_counter()
        await until(lambda: len(miner.ended) == miner.started, within_s=1.5)
        assert miner.ended[-1] - left < 1.0
        await check_all_is_free(axon, dendrite, sockets)


@pytest.mark.parametrize("phase", ["first_byte", "idle"])
async def test_a_phase_deadline_ends_the_forward_within_1_s(
    axon: Axon, alice: Keypair, miner: Miner, phase: str
) -> None:
    axon.attach(miner.generator)
    limits: dict[str, Any] = {phase: 0.3}
    async with axon, Dendrite(alice, **limits) as dendrite:
        sockets = open_sockets()
        question = Words(count=0 if phase == "first_byte" else 1)
        began = time.perf_counter()
        assert (await dendrite.call(axon.info(), question, timeout=60)).is_timeout
        assert time.perf_counter() - began >= 0.3
        await until(lambda: miner.ended)
        await check_all_is_free(axon, dendrite, sockets)


@pytest.mark.parametrize("signal", ["kill", "terminate"])
async def test_a_caller_whose_process_dies_ends_the_forward_within_1_s(
    axon: Axon, miner: Miner, signal: str
) -> None:
    program = """
        import asyncio, sys
        from node import Dendrite, Keypair
        from tests.functional.synapses import Words
        async def main():
            async with Dendrite(Keypair.from_uri("//Alice")) as dendrite:
                async for chunk in dendrite.stream(sys.argv[1], Words(count=1), timeout=60):
                    print(chunk, flush=True)
        asyncio.run(main())
    """
    axon.attach(miner.generator)
    async with axon:
        sockets = open_sockets()
        process = await run_program(program, str(axon.info()))
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"first\n"
        assert miner.ended == []
        left = time.perf_counter()
        getattr(process, signal)()
        await until(lambda: miner.ended, within_s=1.5)
        assert miner.ended[0] - left < 1.0
        await process.communicate()
        await until(lambda: axon._slots._free == axon._max_workers)
        await until(lambda: open_sockets() == sockets)


@pytest.mark.parametrize("raise_errors", [True, False])
async def test_an_axon_that_stops_ends_its_streams_and_tells_the_reader(
    axon: Axon, dendrite: Dendrite, miner: Miner, raise_errors: bool
) -> None:
    axon.attach(miner.generator)
    async with axon:
        stream = await dendrite.stream(
            axon.info(), Words(count=1), timeout=60, raise_errors=raise_errors
        )
        chunks = stream.chunks()
        assert await anext(chunks) == "first"
        began = time.perf_counter()
        await axon.stop(grace_s=0)
        async with asyncio.timeout(1):
            if raise_errors:
                with pytest.raises(StreamInterrupted) as caught:
                    await anext(chunks)
                assert caught.value.chunks == 1
            else:
                assert [chunk async for chunk in chunks] == []
                assert (await stream).dendrite.status_code == 503
        assert time.perf_counter() - began < 2.5
    assert miner.ended
    await until(lambda: not dendrite._pumps)


async def test_a_node_whose_process_dies_is_told_at_once(alice: Keypair) -> None:
    program = """
        import asyncio
        from node import Axon, Keypair
        from tests.functional.synapses import Words
        async def forward(synapse: Words):
            yield "first"
            await asyncio.sleep(60)
        async def main():
            axon = Axon(Keypair.from_uri("//Bob"), ip="127.0.0.1", port=0).attach(forward)
            async with axon:
                print(axon.info(), flush=True)
                await asyncio.sleep(60)
        asyncio.run(main())
    """
    process = await run_program(program)
    assert process.stdout is not None
    peer = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
    async with Dendrite(alice) as dendrite:
        stream = await dendrite.stream(peer, Words(), timeout=60, raise_errors=True)
        chunks = stream.chunks()
        assert await anext(chunks) == "first"
        process.kill()
        with pytest.raises(StreamInterrupted):
            await asyncio.wait_for(anext(chunks), 1)
    await process.communicate()


async def run_program(program: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start a program in a fresh interpreter, with every warning shown."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
