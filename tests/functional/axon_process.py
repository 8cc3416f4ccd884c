"""An axon in a process of its own, as operators run several for one hotkey."""

from __future__ import annotations

import subprocess
import sys
from typing import Self

__all__ = ["AxonProcess"]

PROGRAM = """
import asyncio, json, sys
from node import Axon, Keypair
from node.network.shared import open_shared_memory
from tests.functional.synapses import Echo

options = json.loads(sys.argv[1])
address, lost_s = options.pop("memory", None), options.pop("lost_s", 600.0)
network = options.pop("allow_private", None) and options.pop("network")
if network:
    from node import open_network
    options["network"] = open_network(network, True)
memory = open_shared_memory(address, max_lost_s=lost_s) if address else None

async def echo(synapse: Echo) -> Echo:
    return synapse

async def main():
    axon = Axon(Keypair.from_uri("//Bob"), ip="127.0.0.1", port=0, shared=memory, **options)
    async with axon.attach(echo):
        print(axon.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    if memory is not None:
        await memory.aclose()
    if network:
        await options["network"].close()

asyncio.run(main())
"""


class AxonProcess:
    """Bob's axon, which echoes. Use it as a context manager.

    Args:
        options: Keywords of `Axon`, plain values; and `memory`, the address of what it shares,
            `lost_s`, how long it serves without that, `allow_private`, for its network.

    Attributes:
        port: Where it listens.
        complaints: What it wrote to its standard error, once it has ended.
    """

    def __init__(self, **options: object) -> None:
        import json

        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = 0
        self.complaints = ""

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(self._process.communicate()[1])
        self.port = int(line)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _, self.complaints = self._process.communicate("stop\n", timeout=20)
        if exc_info[0] is None:
            assert self._process.returncode == 0, self.complaints
