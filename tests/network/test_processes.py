"""Several processes on one registry file: real ones, started by a fresh interpreter."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from node.network.local import LocalNetwork

from .conftest import key, peer_of

PROCESSES = 8
HOTKEYS = 4

JOIN = """
import sys
from node import Keypair, Peer, open_network

path, number, hotkeys = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pairs = [Keypair.from_uri(f"//{number}/{index}") for index in range(hotkeys)]
print("ready", flush=True)
sys.stdin.readline()
with open_network(f"local:{path}") as network:
    for index, pair in enumerate(pairs):
        print(network.register(8, pair))
        network.serve(8, pair, Peer(pair.ss58_address, "127.0.0.1", 1000 + number * 100 + index))
        network.set_weights(8, pair, [0], [1])
"""

WRITE_FOR_EVER = """
import sys
from node import Keypair, Peer, open_network

path, start = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
with open_network(f"local:{path}") as network:
    for number in range(start, start + 256):
        pair = Keypair.from_uri(f"//{number}")
        network.register(number % 3, pair)
        network.serve(number % 3, pair, Peer(pair.ss58_address, "127.0.0.1", 5))
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_all_register_and_serve_at_once(path: Path) -> None:
    """The file does not exist when they begin, so that they also race to make it."""
    running = [start(JOIN, path, number, HOTKEYS) for number in range(PROCESSES)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    given: dict[str, int] = {}
    for number, process in enumerate(running):
        output, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        for index, line in enumerate(output.split()):
            given[key(f"{number}/{index}").ss58_address] = int(line)

    graph = LocalNetwork(path).metagraph(8)
    assert sorted(given.values()) == list(range(PROCESSES * HOTKEYS))
    assert {hotkey: uid for uid, hotkey in enumerate(graph.hotkeys)} == given
    for number in range(PROCESSES):
        for index in range(HOTKEYS):
            pair = key(f"{number}/{index}")
            uid = graph.uid_of_key(pair.public_key)
            assert uid is not None
            assert graph.axons[uid] == peer_of(pair, 1000 + number * 100 + index)
            assert graph.weights(uid)[0] == 1.0
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_killed_writer_leaves_a_usable_file(path: Path) -> None:
    rng = random.Random(8)
    for round_number in range(6):
        process = start(WRITE_FOR_EVER, path, round_number * 1000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.08))
        os.kill(process.pid, signal.SIGKILL)
        _, complaints = process.communicate(timeout=30)
        assert (process.returncode, complaints) == (-signal.SIGKILL, "")

        with LocalNetwork(path) as network:
            pair = key(f"after {round_number}")
            uid = network.register(0, pair)
            network.serve(0, pair, peer_of(pair))
            graphs = [network.metagraph(netuid) for netuid in range(3)]
        assert graphs[0].uid_of_key(pair.public_key) == uid
        # A neuron is registered whole or not at all: no vacant uid, no record without its neuron.
        for graph in graphs:
            assert [graph.uid_of(hotkey) for hotkey in graph.hotkeys] == graph.uids
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
