"""A home of the test's own, a command line without flags, and nets for threads and logging."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import node.compat as bt
from node.compat.argv import CommandLine
from node.compat.settings import COMMAND_LINE


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that wallets and the local network are in."""
    for name in os.environ:
        if name.startswith(("BT_", "GANGLION_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path / "ganglion"))
    monkeypatch.setattr(sys, "argv", ["prog"])
    return tmp_path


@pytest.fixture(autouse=True)
def clean_process() -> Iterator[None]:
    """Fail a test that leaves a thread, and forget flags and handlers that it set."""
    vars(COMMAND_LINE).update(vars(CommandLine()))
    before = set(threading.enumerate())
    yield
    bt.logging.reset()
    end = time.monotonic() + 20
    while left := {t for t in set(threading.enumerate()) - before if t.name[:8] != "asyncio_"}:
        assert time.monotonic() < end, f"threads outlived the test: {left}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def miner_key() -> bt.Keypair:
    """A node."""
    return bt.Keypair.create_from_uri("//Bob")


@pytest.fixture(scope="session")
def caller_key() -> bt.Keypair:
    """A caller."""
    return bt.Keypair.create_from_uri("//Alice")


@pytest.fixture
def axon(miner_key: bt.Keypair) -> Iterator[bt.Axon]:
    """Bob's axon on loopback, on a free port; not started, so that the test can attach first."""
    axon = bt.axon(wallet=miner_key, ip="127.0.0.1", port=0)
    yield axon
    axon.stop()


@pytest.fixture
def dendrite(caller_key: bt.Keypair) -> bt.Dendrite:
    """Alice's dendrite."""
    return bt.dendrite(wallet=caller_key)
