"""Thousands of streams open on one axon at once, and the memory that each takes there.

Every round has fresh programs, since memory that a program has once held it seldom gives back.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping

from benchmarks.contenders.catalogue import CONTENDERS, GANGLION, RAW
from benchmarks.contest import Contest, Pair
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.rounds import Rounds, alternate

__all__ = ["measure", "possible_streams"]

_OPENING_AT_ONCE = 64
_WARM = 100
# Listening sockets, pipes, libraries.
_OTHER_FILES = 100
_WITHIN_S = 240.0


async def measure(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure both."""
    streams = possible_streams(contest.sizes.streams, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    if streams < contest.sizes.streams:
        contest.notes.append(
            f"open_streams has {streams:,} streams instead of {contest.sizes.streams:,}: this "
            "machine lets a process have no more files open (ulimit -Hn)"
        )

    async def take(name: str) -> Mapping[str, float]:
        # Forwards that run at once are limited, so the limit is set to what is asked for.
        async with contest.pair(CONTENDERS[name], server={"max_workers": streams}) as pair:
            return await _turn(pair, streams)

    names = [each.name for each in contest.taking_part((RAW, GANGLION))]
    rounds = await alternate(names, range(contest.sizes.memory_rounds), take)
    return rounds, _figures(rounds, streams)


def possible_streams(wanted: int, hard_limit: int) -> int:
    """Return how many streams a process can hold open.

    Args:
        wanted: How many there shall be.
        hard_limit: Files that a process may have open at the most; -1 for any number.
    """
    if hard_limit == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, hard_limit - _OTHER_FILES)


async def _turn(pair: Pair, streams: int) -> Mapping[str, float]:
    warm = min(_WARM, streams // 2)
    await pair.client.ask("hold", streams=warm, at_once=_OPENING_AT_ONCE)
    before = await pair.server.ask("usage")
    opened = await pair.client.ask(
        "hold", streams=streams - warm, at_once=_OPENING_AT_ONCE, within_s=_WITHIN_S
    )
    during = await pair.server.ask("usage")
    await pair.server.ask("let_go")
    done = await pair.client.ask("finish", within_s=_WITHIN_S)
    return {
        "streams": streams,
        "served": done["served"],
        "open_s": opened["seconds"],
        "bytes_each": (during["bytes"] - before["bytes"]) / (streams - warm),
    }


def _figures(rounds: Rounds, streams: int) -> list[Figure]:
    def kib(name: str) -> list[float]:
        return [size / 1024 for size in rounds.of(name, "bytes_each")]

    served = [
        served / opened
        for served, opened in zip(
            rounds.of("ganglion", "served"), rounds.of("ganglion", "streams"), strict=True
        )
    ]
    found = [
        Figure("open_streams.served", f"{streams:,} streams at once: share served to the end", "x",
               tuple(served), at_least(1.0)),
    ]  # fmt: skip
    if "raw" in rounds:
        beyond = tuple(one - other for one, other in zip(kib("ganglion"), kib("raw"), strict=True))
        name = f"{streams:,} streams at once: server's memory for each beyond raw aiohttp"
        found.append(Figure("open_streams.beyond_raw_kib", name, "KiB", beyond, at_most(40)))
    for name in ("ganglion", "raw"):
        if name in rounds:
            title = f"{streams:,} streams at once: server's memory for each"
            found.append(
                Figure(f"open_streams.{name}_kib", f"{title}: {CONTENDERS[name].title}", "KiB",
                       tuple(kib(name)))
            )  # fmt: skip
    return found
