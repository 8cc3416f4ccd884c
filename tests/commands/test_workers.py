"""`ganglion miner --axon.workers N` as an operator has it: real processes on one port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node import Dendrite, Keypair, Wallet, open_network
from node.errors import ConfigError
from node.neuron.flags import build_parser
from node.neuron.miner import Miner
from node.neuron.resolver import resolve
from protocols.prompting import StreamPrompting
from tests.raw_http import RawReply, ask, signed_request

from .programs import Running, run, running

NETUID = 8
COUNT = 3
PORT = re.compile(r"serves as \w+@127\.0\.0\.1:(\d+)")
BODY = b'{"roles": ["user"], "messages": ["hello world"]}'
WAIT_S = 20.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a miner's wallet, and Alice registered on its local network."""
    Wallet("default", "miner", tmp_path / ".bittensor" / "wallets").create()
    with open_network(f"local:{tmp_path / 'ganglion' / 'local.db'}") as network:
        network.register(NETUID, Keypair.from_uri("//Alice"))
    return tmp_path


def flags(*more: str, port: int = 0, workers: int = COUNT) -> list[str]:
    return [
        "miner", "--netuid", str(NETUID), "--wallet.hotkey", "miner", "--axon.ip", "127.0.0.1",
        "--axon.port", str(port), "--axon.workers", str(workers), *more,
    ]  # fmt: skip


@contextmanager
def miner(home: Path, *more: str) -> Iterator[Running]:
    with running(home, *flags(*more)) as process:
        process.wait_for(f"all {COUNT} workers serve")
        yield process


def workers_of(process: Running) -> list[int]:
    """Return the processes that a miner has started."""
    pid = process.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in children.split()]


def code(reply: RawReply) -> str:
    return "ok" if reply.status == 200 else str(reply.json()["code"])


def until(condition: object) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def fire(process: Running, alice: Keypair, times: int) -> Counter[str]:
    """Send one signed request over so many connections at once; return how often each code came."""
    peer = process.peer
    request = signed_request(alice, peer.hotkey, "/StreamPrompting", BODY).encode()
    return Counter(
        map(code, await asyncio.gather(*(ask(peer.port, request) for _ in range(times))))
    )


def test_the_same_bytes_pass_once_whichever_worker_gets_them(home: Path, alice: Keypair) -> None:
    with miner(home) as process:
        for _ in range(25):
            assert asyncio.run(fire(process, alice, 16)) == {"ok": 1, "replayed_request": 15}


def test_connections_are_spread_and_each_worker_answers(home: Path, alice: Keypair) -> None:
    with miner(home) as process:
        port = process.peer.port
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        try:
            for each in held:
                each.sendall(b"GET /health HTTP/1.1\r\nHost: node\r\n\r\n")
            assert all(b" 200 " in each.recv(4096) for each in held)
            sockets = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in workers_of(process)]
            # Each has a share of the connections beside the files that all have.
            assert len(sockets) == COUNT
            assert min(sockets) > 10
        finally:
            for each in held:
                each.close()


def test_a_worker_that_is_killed_is_missed_by_nobody_and_comes_back(
    home: Path, alice: Keypair
) -> None:
    with miner(home) as process:
        victim = workers_of(process)[1]
        os.kill(victim, signal.SIGKILL)
        process.wait_for("was killed by SIGKILL")
        for _ in range(10):
            assert asyncio.run(fire(process, alice, 1)) == {"ok": 1}
        until(lambda: sum("workers serve" in line for line in process.lines) == 2)
        now = workers_of(process)
        assert len(now) == COUNT
        assert victim not in now
        assert asyncio.run(fire(process, alice, 12)) == {"ok": 1, "replayed_request": 11}


def test_what_a_dead_worker_took_is_not_taken_by_its_successor(home: Path, alice: Keypair) -> None:
    with miner(home) as process:
        peer = process.peer
        request = signed_request(alice, peer.hotkey, "/StreamPrompting", BODY).encode()
        assert asyncio.run(ask(peer.port, request)).status == 200
        for pid in workers_of(process):
            os.kill(pid, signal.SIGKILL)
        until(lambda: sum("workers serve" in line for line in process.lines) == 2)
        for _ in range(10):
            assert code(asyncio.run(ask(peer.port, request))) == "replayed_request"


def test_a_signal_lets_running_replies_end_in_every_worker(home: Path, alice: Keypair) -> None:
    words = [f"word{number}" for number in range(12)]
    question = StreamPrompting(roles=["user"], messages=[" ".join(words)])

    async def drain(process: Running) -> list[StreamPrompting]:
        async def one() -> StreamPrompting:
            async with Dendrite(alice) as dendrite:  # a connection of its own
                stream = await dendrite(process.peer, question, deserialize=False)
                chunks = stream.chunks()
                await anext(chunks)
                started.release()
                async for _ in chunks:
                    pass
                reply: StreamPrompting = await stream.final()
                return reply

        started = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(one()) for _ in range(9)]
        for _ in tasks:
            await started.acquire()
        process.process.terminate()
        return await asyncio.gather(*tasks)

    with miner(home, "--neuron.token_delay", "0.05", "--neuron.flush_every", "1") as process:
        pids = workers_of(process)
        replies = asyncio.run(drain(process))
        assert [reply.completion for reply in replies] == [" ".join(words)] * 9
        assert process.wait() == 0
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_second_signal_ends_at_once(home: Path, alice: Keypair) -> None:
    async def ask_slowly(process: Running) -> None:
        async with Dendrite(alice) as dendrite:
            question = StreamPrompting(roles=["user"], messages=["a b c d e"])
            stream = await dendrite(process.peer, question, deserialize=False)
            chunks = stream.chunks()
            await anext(chunks)
            process.process.terminate()
            await asyncio.to_thread(process.wait_for, "draining")
            process.process.terminate()
            assert await asyncio.to_thread(process.wait) == 128 + signal.SIGTERM
            await chunks.aclose()

    with miner(home, "--neuron.token_delay", "5", "--neuron.flush_every", "1") as process:
        asyncio.run(ask_slowly(process))


def test_without_the_parent_workers_end_and_say_why(home: Path) -> None:
    with miner(home) as process:
        port, pids = process.peer.port, workers_of(process)
        process.process.kill()
        until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])
        told = "the process that started this worker has gone"
        until(lambda: sum(told in line for line in process.lines) == COUNT)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("workers", [1, COUNT])
def test_a_port_that_workers_share_is_taken_for_all_others(home: Path, workers: int) -> None:
    with miner(home) as process:
        other = run(home, *flags(port=process.peer.port, workers=workers))
        assert other.returncode == 2
        assert "is already in use" in other.stderr
        assert other.stderr.count("\n") == 1


def test_a_port_that_somebody_has_is_told_once(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = run(home, *flags(port=port))
        assert told.returncode == 2
        assert told.stderr == (
            f"ganglion miner: port {port} on 127.0.0.1 is already in use; stop what listens there, "
            "or choose another with --axon.port\n"
        )


def test_only_one_worker_publishes_and_for_the_capacity_of_all(home: Path) -> None:
    with miner(home, "--axon.max_workers", "4") as process:
        with open_network(f"local:{home / 'ganglion' / 'local.db'}") as network:
            metagraph = network.metagraph(NETUID)
        listed = [peer for peer in metagraph.axons if peer.is_serving]
        assert [peer.port for peer in listed] == [process.peer.port]
        assert listed[0].capacity_of("StreamPrompting") == 4 * COUNT
        assert sum("serves as" in line for line in process.lines) == 1


def test_each_worker_has_a_log_file_of_its_own(home: Path) -> None:
    folder = home / "logs"
    with miner(home, "--logging.record_log", "--logging.logging_dir", str(folder)) as process:
        process.process.terminate()
        assert process.wait() == 0
    files = {path.name: path.read_text() for path in folder.rglob("*.log")}
    assert sorted(files) == ["node.1.log", "node.2.log", "node.log"]
    assert all(text.count("neuron: stopped") == 1 for text in files.values())
    assert not any("supervisor" in text for text in files.values())
    assert sum("neuron: stopped" in line for line in process.lines) == COUNT


def test_a_miner_in_a_loop_of_somebody_else_has_no_workers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    settings = resolve(build_parser("miner", prog="p"), flags()[1:], {})
    with pytest.raises(ConfigError, match=r"run\(\) and launch\(\) start"):
        asyncio.run(Miner(settings).start())
