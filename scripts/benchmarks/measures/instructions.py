"""Instructions of a request, a stream, a token and a block, both ends together.

A load is carried out twice, the second time with twice the amount, and the difference is divided
by the amount: starting up, connecting and warming drop out. Counts repeat to about a percent where
times on a shared machine do not to a fifth.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.contenders.catalogue import GANGLION, RAW, Contender
from benchmarks.contest import Contest
from benchmarks.figures import Figure, ratio
from benchmarks.program import running
from benchmarks.rounds import Rounds, Turn
from benchmarks.valgrind import counting_command, find_valgrind, read_count

__all__ = ["LOADS", "Load", "figures_of", "instructions_of_one", "measure"]

ENTRANTS = (GANGLION, RAW)
_PACKAGES = {"ganglion": ("aiohttp", "ganglion"), "raw": ("aiohttp",)}
_JOB_WITHIN_S = 240.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is counted.

    Attributes:
        name: One of `contenders.counted.LOADS`.
        title: What readers see.
        warm: How many are done before, which count for nothing.
        amount: How many are done; in another process twice as many.
    """

    name: str
    title: str
    warm: int
    amount: int


LOADS = (
    Load("request", "request", 25, 100),
    Load("stream", "stream of one token", 25, 50),
    Load("token", "token, as fast as they go", 500, 4_000),
    Load("tick", "token, a turn of the loop between", 200, 1_000),
    Load("block", "block of 64 KiB", 20, 100),
)


async def measure(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Count once; the contenders run at the same time, which changes no count.

    Raises:
        BenchError: There is no valgrind, or a program failed.
    """
    valgrind = find_valgrind()
    contenders = contest.taking_part(ENTRANTS)
    counts = await asyncio.gather(*(_count(contest, each, valgrind) for each in contenders))
    turns = [Turn(0, each.name, count) for each, count in zip(contenders, counts, strict=True)]
    rounds = Rounds(turns)
    return rounds, figures_of(rounds)


async def _count(contest: Contest, contender: Contender, valgrind: str) -> dict[str, float]:
    """Return the instructions of one of each load."""
    logs = contest.home / f"counts-{contender.name}"
    logs.mkdir()
    settings = {
        "programs": contender.programs,
        "packages": _PACKAGES[contender.name],
        "jobs": [(load.name, load.warm, load.amount * times) for load in LOADS for times in (1, 2)],
    }
    async with running(
        contender.python,
        "contenders.counted",
        settings,
        home=contest.home,
        under=counting_command(valgrind, logs),
        environment={"PYTHONHASHSEED": "0"},
    ) as child:
        contest.versions[contender.name] = child.greeting["versions"]
        found = {}
        for load in LOADS:
            pids = [(await child.read(_JOB_WITHIN_S))["pid"] for _ in range(2)]
            once, twice = (read_count(logs, pid) for pid in pids)
            found[load.name] = instructions_of_one(once, twice, load.amount)
    return found


def instructions_of_one(once: int, twice: int, amount: int) -> float:
    """Return what one costs of what an amount and twice that amount cost, start included."""
    return (twice - once) / amount


def figures_of(rounds: Rounds) -> list[Figure]:
    """Return the ratios, where raw aiohttp took part, and the counts."""
    found = []
    if all(each.name in rounds for each in ENTRANTS):
        found = [
            ratio(f"instructions.{load.name}_of_raw",
                  f"instructions of a {load.title}, of {RAW.title}",
                  rounds.of("ganglion", load.name), rounds.of("raw", load.name))
            for load in LOADS
        ]  # fmt: skip
    return found + [
        Figure(f"instructions.{each.name}_{load.name}",
               f"instructions of a {load.title}: {each.title}", "",
               tuple(rounds.of(each.name, load.name)))
        for load in LOADS for each in ENTRANTS if each.name in rounds
    ]  # fmt: skip
