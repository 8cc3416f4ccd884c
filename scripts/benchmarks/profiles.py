"""Profiles of our axon and our dendrite under the loads where speed counts most.

The profiler slows down every call of a Python function, so what it shows is where time goes, not
how much of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from .contenders.catalogue import GANGLION
from .contest import Contest, Pair

__all__ = ["take_profiles"]

LOADS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "unary": ("unary", {"at_once": 1}),
    "unary_many": ("unary", {"at_once": 32}),
    "tokens": ("tokens", {"route": "Tokens", "count": 20_000}),
}
_SECONDS = 2.0


async def take_profiles(contest: Contest, folder: Path) -> list[Table]:
    """Profile one end at a time under each load.

    Args:
        contest: What starts the programs.
        folder: Absolute path of where files for pstats go; it exists.

    Raises:
        BenchError: A program failed.
    """
    tables = []
    for name, (command, arguments) in LOADS.items():
        async with contest.pair(GANGLION) as pair:
            await pair.client.ask(command, **arguments, seconds=0.2)
            for end in ("axon", "dendrite"):
                path = folder / f"{name}-{end}.pstats"
                tables += await _profile(pair, end, command, arguments, path)
    return tables


async def _profile(
    pair: Pair, end: str, command: str, arguments: Mapping[str, Any], path: Path
) -> list[Table]:
    child = pair.server if end == "axon" else pair.client
    await child.ask("start_profile")
    load = await pair.client.ask(command, **arguments, seconds=_SECONDS)
    found = await child.ask("stop_profile", path=str(path))
    busy_us = found["busy_s"] / load["calls"] * 1e6
    title = f"{path.stem}: {load['calls']:g} calls, {busy_us:,.0f} us busy in each"
    return [
        _table(f"{title}, by own time", found["own"], found["busy_s"], load["calls"]),
        _table(f"{title}, by time with callees", found["whole"], found["busy_s"], load["calls"]),
    ]


def _table(title: str, rows: list[dict[str, Any]], busy_s: float, calls: float) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("own", "own us", "with callees us", "times"):
        table.add_column(heading, justify="right")
    table.add_column("function", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row['own_s'] / busy_s:.1%}",
            f"{row['own_s'] / calls * 1e6:,.1f}",
            f"{row['whole_s'] / calls * 1e6:,.1f}",
            f"{row['calls'] / calls:,.1f}",
            row["function"],
        )
    return table
