"""`ganglion miner` and scripts/miner.py as an operator has them: real processes, real signals."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node import Dendrite, Keypair, Wallet, open_network
from protocols.prompting import Prompting, StreamPrompting

from .programs import NODE, ROOT, Running, run, running

NETUID = 8
SCRIPT = [sys.executable, str(ROOT / "scripts" / "miner.py")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the tutorial's wallet, and Alice registered on its local network."""
    Wallet("default", "miner", tmp_path / ".bittensor" / "wallets").create()
    with open_network(f"local:{tmp_path / 'ganglion' / 'local.db'}") as network:
        network.register(NETUID, Keypair.from_uri("//Alice"))
    return tmp_path


@contextmanager
def miner(home: Path, *more: str) -> Iterator[Running]:
    argv = ["miner", "--netuid", str(NETUID), "--wallet.hotkey", "miner", "--axon.ip", "127.0.0.1"]
    with running(home, *argv, "--axon.port", "0", *more) as process:
        yield process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def question(*words: str) -> StreamPrompting:
    return StreamPrompting(roles=["user"], messages=[" ".join(words)])


# The tutorial's line ----------------------------------------------------------------------------


@pytest.mark.parametrize("program", [[*NODE, "miner"], SCRIPT], ids=["node", "script"])
def test_the_line_of_the_tutorial_serves_and_streams(
    home: Path, alice: Keypair, program: list[str]
) -> None:
    port = free_port()
    line = (
        f"--netuid {NETUID} --wallet.name default --wallet.hotkey miner "
        f"--subtensor.network local --axon.port {port} --logging.trace"
    )
    with running(home, *line.split(), program=program) as process:
        assert process.peer.port == port
        reply = Dendrite(alice).query(process.peer, question("hello", "world"), deserialize=False)
        assert (reply.dendrite.status_code, reply.completion) == (200, "hello world")
        access = process.wait_for("axon.access").string
        assert "/StreamPrompting 200" in access
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


# Signals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_reply_end_and_takes_no_new_one(
    home: Path, alice: Keypair, number: signal.Signals
) -> None:
    words = [f"word{i}" for i in range(12)]

    async def drain(process: Running) -> tuple[Any, Any]:
        async with Dendrite(alice) as dendrite:
            stream = await dendrite(process.peer, question(*words), deserialize=False)
            chunks = stream.chunks()
            await anext(chunks)
            process.process.send_signal(number)
            await asyncio.to_thread(process.wait_for, "draining")
            late = await dendrite.call(process.peer, question("late"), deserialize=False)
            async for _ in chunks:
                pass
            return await stream.final(), late

    flags = ("--neuron.token_delay", "0.05", "--neuron.flush_every", "1")
    with miner(home, *flags) as process:
        assert process.peer.is_serving
        reply, late = asyncio.run(drain(process))
        assert (reply.dendrite.status_code, reply.completion) == (200, " ".join(words))
        assert late.dendrite.status_code == 503
        assert process.wait() == 0


def test_a_reply_that_outlasts_the_grace_is_cut(home: Path, alice: Keypair) -> None:
    async def cut(process: Running) -> Any:
        async with Dendrite(alice) as dendrite:
            stream = await dendrite(process.peer, question(*"abcdefgh"), deserialize=False)
            chunks = stream.chunks()
            await anext(chunks)
            process.process.send_signal(signal.SIGTERM)
            async for _ in chunks:
                pass
            return await stream.final()

    flags = ("--neuron.token_delay", "10", "--neuron.flush_every", "1", "--axon.grace_s", "0.2")
    with miner(home, *flags) as process:
        assert process.peer.is_serving
        began = time.monotonic()
        assert asyncio.run(cut(process)).dendrite.status_code != 200
        assert process.wait() == 0
        assert time.monotonic() - began < 10  # where the next token takes as long


def test_a_second_signal_ends_it_at_once(home: Path, alice: Keypair) -> None:
    async def twice(process: Running) -> None:
        async with Dendrite(alice) as dendrite:
            stream = await dendrite(process.peer, question(*"abcdefgh"), deserialize=False)
            chunks = stream.chunks()
            await anext(chunks)
            process.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait_for, "draining")
            process.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 8.0)
            await chunks.aclose()

    with miner(home, "--neuron.token_delay", "5", "--neuron.flush_every", "1") as process:
        assert process.peer.is_serving
        asyncio.run(twice(process))
        assert process.wait() == 128 + signal.SIGTERM


STUCK = """
import sys, time
from node import Miner
from protocols.prompting import Prompting

class Stuck(Miner):
    '''Does not end.'''

    def forward(self, synapse: Prompting) -> Prompting:
        time.sleep(60)
        return synapse

sys.exit(Stuck.launch())
"""


def test_a_forward_that_never_ends_does_not_keep_the_process(home: Path, alice: Keypair) -> None:
    argv = ["--netuid", str(NETUID), "--wallet.hotkey", "miner", "--axon.port", "0"]
    program = [sys.executable, "-c", STUCK]
    with running(home, *argv, "--axon.grace_s", "0.2", program=program) as process:
        synapse = Prompting(roles=["user"], messages=["x"])
        assert Dendrite(alice).query(process.peer, synapse, timeout=1.0).is_timeout
        process.process.send_signal(signal.SIGTERM)
        assert process.wait(10.0) == 0
        assert "left behind, still running: 1 forward(s)" in "".join(process.lines)


# Logging ----------------------------------------------------------------------------------------


def test_logs_are_json_lines_and_a_file_on_request(
    home: Path, alice: Keypair, tmp_path: Path
) -> None:
    flags = ("--logging.info", "--logging.json", "--logging.record_log")
    with miner(home, *flags, "--logging.logging_dir", str(tmp_path / "logs")) as process:
        assert process.peer.is_serving
        Dendrite(alice).query(process.peer, question("hi"))
        process.wait_for("axon.access")
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    records = [json.loads(line) for line in process.lines]
    access = [record for record in records if record["logger"] == "node.axon.access"]
    assert [record["request"]["status"] for record in access] == [200]
    (path,) = (tmp_path / "logs").rglob("*.log")
    assert path.read_text(encoding="utf-8").splitlines() == [
        line.rstrip("\n") for line in process.lines
    ]


def test_without_a_flag_no_request_is_logged(home: Path, alice: Keypair) -> None:
    with miner(home) as process:
        assert process.peer.is_serving
        Dendrite(alice).query(process.peer, question("hi"))
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert len(process.lines) == 3
    assert "axon.access" not in "".join(process.lines)


# What can't be used -----------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--axon.prt", "1"], ["unknown flag --axon.prt", "did you mean --axon.port?"]),
        (["--axon.port", "65536"], ["--axon.port must be a port from 0 to 65535"]),
        (["--neuron.engine", "ecco"], ["--neuron.engine", "did you mean echo?"]),
        (["--wallet.hotkey", "mnier"], ["no hotkey 'mnier'", "ganglion wallet new"]),
        (["--wallet.hotkey", "../x"], ["hotkey name '../x'"]),
        (["--subtensor.network", "lcoal"], ["'lcoal'", "did you mean 'local'?"]),
        (["--config", "config/mienr.yaml"], ["config/mienr.yaml", "No such file"]),
        (["--mock"], ["--mock is not available"]),
    ],
)
def test_bad_settings_exit_2_with_one_line_and_change_nothing(
    home: Path, flags: list[str], words: list[str]
) -> None:
    before = tree(home)
    argv = ["miner", "--netuid", "8", "--wallet.hotkey", "miner", "--axon.port", "0", *flags]
    done = run(home, *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ganglion miner: ")
    assert done.stderr.count("\n") == 1
    assert [word for word in words if word not in done.stderr] == []
    assert tree(home) == before


def test_a_taken_port_exits_2_and_registers_nobody(home: Path) -> None:
    before = tree(home)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        argv = ["miner", "--netuid", "8", "--wallet.hotkey", "miner", "--axon.ip", "127.0.0.1"]
        done = run(home, *argv, "--axon.port", port)
    assert done.returncode == 2
    assert done.stderr == (
        f"ganglion miner: port {port} on 127.0.0.1 is already in use; stop what listens there, "
        "or choose another with --axon.port\n"
    )
    assert tree(home) == before


def test_a_database_that_is_not_ours_exits_2_and_stays_as_it_is(home: Path) -> None:
    path = home / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = tree(home)
    argv = ["miner", "--netuid", "8", "--wallet.hotkey", "miner", "--axon.port", "0"]
    done = run(home, *argv, "--subtensor.network", f"local:{path}")
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert tree(home) == before


def test_a_locked_database_exits_2_and_changes_nothing(home: Path) -> None:
    path = home / "ganglion" / "local.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        argv = ["miner", "--netuid", "8", "--wallet.hotkey", "miner", "--axon.port", "0"]
        done = run(home, *argv)
    finally:
        connection.execute("ROLLBACK")
        connection.close()
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert done.stderr.splitlines()[-1].startswith("ganglion miner: ")
    assert "Traceback" not in done.stderr
    with open_network(f"local:{path}") as network:
        assert network.metagraph(NETUID).n == 1
