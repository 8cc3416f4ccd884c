"""The streaming tutorial's programs run with one line changed, as processes on a local network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import node.compat as bt

from .programs import NEW_IMPORT, OLD_IMPORT, PROGRAMS, STAND_IN

ROOT = Path(__file__).parents[2]
NETUID = 8
# Every warning is an error, but for what pydantic says of the tutorial's own spelling.
PYTHON = [sys.executable, "-X", "dev", "-W", "error", "-W", "ignore:`allow_mutation`"]
TEXT = "hello this is a test of a streaming response. Lorem ipsum dolor"


@pytest.fixture
def folder(home: Path) -> Path:
    """The programs, one line changed in each, and two registered wallets."""
    folder = home / "subnet"
    folder.mkdir()
    (folder / "stand_in.py").write_text(STAND_IN)
    for name, text in PROGRAMS.items():
        assert text.count(OLD_IMPORT) == 1
        (folder / name).write_text(text.replace(OLD_IMPORT, NEW_IMPORT))
    for hotkey in ("default", "miner"):
        wallet = bt.wallet(hotkey=hotkey).create_if_non_existent(coldkey_use_password=False)
        bt.subtensor("local").register(wallet, NETUID)
    return folder


@contextmanager
def running(folder: Path, *argv: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*PYTHON, *argv], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(folder: Path, *argv: str) -> tuple[int | None, str, str]:
    with running(folder, *argv) as process:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


def wait_until_served(process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 30
    while not bt.metagraph(NETUID).axons[1].is_serving:
        if process.poll() is not None or time.monotonic() > end:
            pytest.fail(f"the miner did not appear: {process.communicate(timeout=5)}")
        time.sleep(0.05)


def arguments(*more: str) -> list[str]:
    return [
        "--netuid", str(NETUID), "--wallet.name", "default", "--wallet.hotkey", "miner",
        "--subtensor.network", "local", "--axon.port", "0", "--axon.ip", "127.0.0.1", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("miner", ["base_miner.py", "own_miner.py"])
def test_the_tutorials_miner_and_client_talk(folder: Path, miner: str) -> None:
    with running(folder, miner, *arguments("--logging.trace")) as process:
        wait_until_served(process)
        done = run(folder, "client.py")
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=30)
    code, out, err = done
    assert (code, err) == (0, "")
    pieces, completion, outcome = out.splitlines()
    assert pieces.split("|")[:2] == ["hello this is", " a test of"]
    assert (pieces.replace("|", ""), completion, outcome) == (TEXT, TEXT, "200 True")
    assert process.returncode == 0, log
    assert " TRACE bittensor: In outer PROMPT()" in log
    assert " DEBUG bittensor: Streamed tokens: hello this is\n" in log
    assert "Traceback" not in log
    assert "Warning" not in log


def test_a_misspelt_flag_ends_the_miner_before_it_does_anything(folder: Path) -> None:
    code, _, err = run(folder, "own_miner.py", *arguments("--miner.nam", "x"))
    assert code == 2
    assert err.endswith("unknown flag --miner.nam; did you mean --miner.name?\n")
    assert not bt.metagraph(NETUID).axons[1].is_serving


IDLE = """
import sys
import node.compat as bt
from protocol import MyStreamingSynapse
from forward import answer

key = bt.Keypair.create_from_uri("//Bob")
axon = bt.axon(wallet=key, ip="127.0.0.1", port=0).attach(answer).start()
dendrite = bt.dendrite(wallet=key)
print(dendrite.query([axon], MyStreamingSynapse(messages=["a b"]))[0])
"""
LOOP = """
import asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
async def ask():
    (stream,) = await dendrite([axon], MyStreamingSynapse(messages=["c d"]))
    print([item async for item in stream])
loop.run_until_complete(ask())
"""
ABANDON = """
import asyncio
async def leave():
    (stream,) = await dendrite([axon], MyStreamingSynapse(messages=["c d"]))
    print(await anext(stream))
asyncio.run(leave())
"""
ENDINGS = {
    "stops": ("axon.stop()", 0),
    "just ends": ("", 0),
    "exits": ("sys.exit(3)", 3),
    "raises": ("raise KeyError('told')", 1),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("more", ["", LOOP, ABANDON])
def test_a_process_that_serves_and_asks_ends_cleanly(folder: Path, ending: str, more: str) -> None:
    last, expected = ENDINGS[ending]
    if more == LOOP and ending == "stops":
        last = f"dendrite.close_session()\nloop.close()\n{last}"
    (folder / "both.py").write_text(IDLE + more + last)
    code, out, err = run(folder, "both.py")
    assert (code, out.splitlines()[0]) == (expected, "a b")
    lines = [line for line in err.splitlines() if not line.startswith(" ")]
    assert lines == (
        ["Traceback (most recent call last):", "KeyError: 'told'"] if code == 1 else []
    )


AT_THE_END = """
import asyncio
import threading
from collections.abc import AsyncIterator

import node.compat as bt
from protocol import MyStreamingSynapse

begun = threading.Event()


async def forward(synapse: MyStreamingSynapse) -> AsyncIterator[str]:
    try:
        yield "x"
        begun.set()
        await asyncio.sleep(60)
    finally:
        print("cleaned up", flush=True)


key = bt.Keypair.create_from_uri("//Bob")
axon = bt.axon(wallet=key, ip="127.0.0.1", port=0).attach(forward).start()
ask = threading.Thread(
    target=bt.dendrite(key).query, args=(axon, MyStreamingSynapse(messages=[])), daemon=True
)
ask.start()
begun.wait()
"""


def test_forwards_that_run_when_the_process_ends_are_cancelled(folder: Path) -> None:
    (folder / "end.py").write_text(AT_THE_END)
    code, out, _ = run(folder, "end.py")
    assert (code, out) == (0, "cleaned up\n")
