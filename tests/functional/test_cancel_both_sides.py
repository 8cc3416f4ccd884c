"""However one side leaves a stream, the other stops at once and nothing is left open.

"At once" is where nothing else could have ended it: the forwards go on for a minute, and an axon's
heartbeats, its limit for readers that take nothing and its grace period are far away.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node import Axon, Dendrite, Keypair, Stream
from node.errors import StreamInterrupted
from node.synapse import Send, StreamingReply

from .open_sockets import open_sockets
from .synapses import PATIENCE_S, Words, until

ROOT = Path(__file__).parent.parent.parent


class Miner:
    """Forwards of every form that go on for ever, in the stage that a test asks for.

    The stage is told by the question: 0 before the first chunk, 1 between chunks, 2 while the
    reader holds it back.
    """

    def __init__(self) -> None:
        self.started = 0
        self.ended = 0
        self.stop_threads = threading.Event()

    async def generator(self, synapse: Words) -> AsyncIterator[bytes]:
        self.started += 1
        try:
            while synapse.count == 2:
                yield b"x" * 65_536
            for _ in range(synapse.count):
                yield b"first"
            await asyncio.Event().wait()
        finally:
            self.ended += 1

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
            self.ended += 1


@pytest.fixture
def axon(bob: Keypair) -> Axon:
    return Axon(
        bob, ip="127.0.0.1", port=0, heartbeat_s=3600.0, stall_s=3600.0, grace_s=3 * PATIENCE_S
    )


@pytest.fixture
def miner() -> Iterator[Miner]:
    miner = Miner()
    yield miner
    miner.stop_threads.set()


class Held:
    """A stream in the middle, and every way to leave it."""

    def __init__(
        self,
        axon: Axon,
        dendrite: Dendrite,
        miner: Miner,
        stage: int,
        skip_ahead: Callable[[float], None],
    ) -> None:
        self.axon, self.dendrite, self.miner, self.stage = axon, dendrite, miner, stage
        self.skip_ahead = skip_ahead
        self.stream: Stream | None = None
        self.reading: asyncio.Task[Any] | None = None

    async def begin(self) -> None:
        """Open the stream and read it in a task until it stands where it should."""
        question = Words(count=self.stage)
        self.stream = await self.dendrite(self.axon.info(), question, timeout=600)
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
        else:
            self.skip_ahead(601.0)  # the deadline passes by itself

    async def finish(self) -> None:
        assert self.reading is not None
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)


async def check_all_is_free(axon: Axon, dendrite: Dendrite, sockets: int) -> None:
    await until(lambda: axon._slots._free == axon._max_workers)
    assert axon._server is not None
    await until(lambda: not axon._server._running)  # type: ignore[union-attr]
    await until(lambda: not dendrite._asker.open_streams)
    await until(lambda: open_sockets() == sockets)


HOW = ["aclose", "cancel", "dendrite.aclose", "drop", "deadline"]
# A deadline stands still while its own reader holds the stream back.
STAGES = [(how, stage) for how in HOW for stage in (0, 1, 2) if (how, stage) != ("deadline", 2)]


@pytest.mark.parametrize("form", ["generator", "streamer", "sync_generator"])
@pytest.mark.parametrize(("how", "stage"), STAGES)
async def test_a_reader_that_leaves_ends_the_forward_at_once(
    axon: Axon,
    alice: Keypair,
    miner: Miner,
    skip_ahead: Callable[[float], None],
    how: str,
    stage: int,
    form: str,
) -> None:
    axon.attach(getattr(miner, form))
    async with axon, Dendrite(alice) as dendrite:
        sockets = open_sockets()
        held = Held(axon, dendrite, miner, stage, skip_ahead)
        await held.begin()
        assert not miner.ended
        await held.leave(how)
        await until(lambda: miner.ended)
        await held.finish()
        await check_all_is_free(axon, dendrite, sockets)


@pytest.mark.parametrize("how", ["break", "async with", "error in the loop", "merge", "fan_out"])
async def test_a_loop_that_is_left_ends_the_forward_at_once(
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
        await until(lambda: miner.ended == miner.started)
        await check_all_is_free(axon, dendrite, sockets)


@pytest.mark.parametrize("phase", ["first_byte", "idle"])
async def test_a_phase_deadline_ends_the_forward_at_once(
    axon: Axon,
    alice: Keypair,
    miner: Miner,
    skip_ahead: Callable[[float], None],
    phase: str,
) -> None:
    axon.attach(miner.generator)
    limits: dict[str, Any] = {phase: 600.0}
    async with axon, Dendrite(alice, **limits) as dendrite:
        sockets = open_sockets()
        question = Words(count=0 if phase == "first_byte" else 1)
        stream = await dendrite(axon.info(), question, timeout=None)
        reading = asyncio.create_task(stream.final())
        await until(lambda: miner.started)
        if phase == "idle":
            await until(lambda: stream.timing.first_byte_s is not None)
        skip_ahead(590.0)
        await asyncio.sleep(0.05)
        assert not reading.done()
        skip_ahead(11.0)
        assert (await reading).is_timeout
        await until(lambda: miner.ended)
        await check_all_is_free(axon, dendrite, sockets)


@pytest.mark.parametrize("signal", ["kill", "terminate"])
async def test_a_caller_whose_process_dies_ends_the_forward_at_once(
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
        assert not miner.ended
        getattr(process, signal)()
        await until(lambda: miner.ended)
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
        async with asyncio.timeout(PATIENCE_S):
            await axon.stop(grace_s=0)
            if raise_errors:
                with pytest.raises(StreamInterrupted) as caught:
                    await anext(chunks)
                assert caught.value.chunks == 1
            else:
                assert [chunk async for chunk in chunks] == []
                assert (await stream).dendrite.status_code == 503
    assert miner.ended
    await until(lambda: not dendrite._asker.open_streams)


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
            await asyncio.wait_for(anext(chunks), PATIENCE_S)
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
