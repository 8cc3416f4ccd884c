"""Streamed tokens a second, one write for each; ours with frames and receipt."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contenders.catalogue import CONTENDERS, GANGLION, GRPC, RAW, SDK
from benchmarks.contest import Contest, Pair, loaded
from benchmarks.figures import Figure, Target, at_least, rate, ratio
from benchmarks.rounds import Rounds

__all__ = ["as_they_go", "tick_by_tick"]


async def as_they_go(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure tokens that are written as fast as they go."""
    rounds = await _measure(contest, "Tokens")
    targets = {"raw": at_least(1.0), "sdk": at_least(6), "grpc": None}
    return rounds, _figures("tokens", "tokens, as fast as they go", rounds, targets)


async def tick_by_tick(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure tokens with a turn of the event loop between, as a forward that awaits makes them."""
    rounds = await _measure(contest, "Ticks")
    return rounds, _figures(
        "ticks", "tokens, a turn of the loop between", rounds, {"raw": at_least(1.0)}
    )


async def _measure(contest: Contest, route: str) -> Rounds:
    sizes = contest.sizes
    entrants = (GANGLION, RAW, GRPC, SDK) if route == "Tokens" else (GANGLION, RAW)

    async def take(pair: Pair) -> Mapping[str, float]:
        warm = max(1, sizes.tokens // 10)
        await pair.client.ask("tokens", route=route, count=warm, seconds=0.01)
        load = await loaded(pair, "tokens", route=route, count=sizes.tokens, seconds=sizes.turn_s)
        return {**load, "tokens": load["calls"] * sizes.tokens}

    return await contest.alternate(entrants, take)


def _figures(
    key: str, title: str, rounds: Rounds, targets: Mapping[str, Target | None]
) -> list[Figure]:
    per_s = {name: rate(rounds, name, "tokens", "seconds") for name in CONTENDERS if name in rounds}
    found = [
        ratio(f"{key}.of_{name}", f"{title}, of {CONTENDERS[name].title}", per_s["ganglion"],
              per_s[name], target)
        for name, target in targets.items() if name in per_s
    ]  # fmt: skip
    if "raw" in rounds:
        work = {name: rate(rounds, name, "tokens", "both_cpu_s") for name in ("ganglion", "raw")}
        name = f"work per processor second, both ends, {title}, of raw aiohttp"
        found.append(ratio(f"{key}.cpu_of_raw", name, work["ganglion"], work["raw"]))
    return found + [
        Figure(f"{key}.{name}_per_s", f"{title}: {CONTENDERS[name].title}", "/s", tuple(values))
        for name, values in per_s.items()
    ]
