"""One large reply, streamed in chunks of 64 KiB; ours with frames and receipt."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contenders.catalogue import CONTENDERS, GANGLION, RAW
from benchmarks.contest import Contest, Pair, check_done
from benchmarks.figures import Figure, at_least, rate, ratio
from benchmarks.payload import BLOCK_BYTES
from benchmarks.rounds import Rounds

__all__ = ["measure"]


async def measure(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure its throughput, one such reply after another."""
    sizes = contest.sizes

    async def take(pair: Pair) -> Mapping[str, float]:
        await pair.client.ask("blocks", count=max(1, sizes.blocks // 20), seconds=0.01)
        before = await pair.server.ask("usage")
        load = await pair.client.ask("blocks", count=sizes.blocks, seconds=sizes.turn_s)
        after = await pair.server.ask("usage")
        check_done(pair, load)
        return {
            **load,
            "bytes": load["calls"] * sizes.blocks * BLOCK_BYTES,
            "both_cpu_s": after["cpu_s"] - before["cpu_s"] + load["cpu_s"],
        }

    rounds = await contest.alternate((GANGLION, RAW), take)
    return rounds, _figures(rounds, sizes.blocks * BLOCK_BYTES)


def _figures(rounds: Rounds, size: int) -> list[Figure]:
    title = f"{size / 1e6:,.0f} MB streamed"
    per_s = {name: rate(rounds, name, "bytes", "seconds") for name in CONTENDERS if name in rounds}
    found = []
    if "raw" in rounds:
        work = {name: rate(rounds, name, "bytes", "both_cpu_s") for name in ("ganglion", "raw")}
        found = [
            ratio("blocks.of_raw", f"{title}: throughput, of raw aiohttp", per_s["ganglion"],
                  per_s["raw"], at_least(0.7)),
            ratio("blocks.cpu_of_raw", f"{title}: work per processor second, of raw aiohttp",
                  work["ganglion"], work["raw"]),
        ]  # fmt: skip
    return found + [
        Figure(f"blocks.{name}_mb_per_s", f"{title}: {CONTENDERS[name].title}", "MB/s",
               tuple(value / 1e6 for value in values))
        for name, values in per_s.items()
    ]  # fmt: skip
