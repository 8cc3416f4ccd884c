"""How long the program needs before it does anything, by the clock, interpreter included."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping

from benchmarks.contest import Contest
from benchmarks.figures import Figure, Target, at_most
from benchmarks.program import BenchError
from benchmarks.rounds import Rounds, alternate

__all__ = ["measure"]

COMMANDS: dict[str, tuple[str, tuple[str, ...], Target | None]] = {
    "python": ("python by itself", ("-c", "pass"), None),
    "import_node": ("import node", ("-c", "import node"), at_most(0.35)),
    "import_both": ("from node import Axon, Dendrite", ("-c", "from node import Axon, Dendrite"),
                    None),
    "help": ("python -m node --help", ("-m", "node", "--help"), at_most(0.6)),
    "miner_help": ("python -m node miner --help", ("-m", "node", "miner", "--help"), at_most(0.6)),
    "query_help": ("python -m node query --help", ("-m", "node", "query", "--help"), at_most(0.6)),
}  # fmt: skip


async def measure(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure all commands in turn."""

    async def take(name: str) -> Mapping[str, float]:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, *COMMANDS[name][1], cwd=contest.home,
            env={**os.environ, "HOME": str(contest.home)},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(60):
                status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status:
            raise BenchError(f"{COMMANDS[name][0]} ended with {status}")
        return {"seconds": time.perf_counter() - began}

    for name in COMMANDS:
        await take(name)  # files are in the page cache, and compiled
    rounds = await alternate(list(COMMANDS), range(contest.sizes.rounds), take)
    return rounds, [
        Figure(f"start_up.{name}_s", title, "s", tuple(rounds.of(name, "seconds")), target)
        for name, (title, _, target) in COMMANDS.items()
    ]
