"""One large reply, streamed in chunks of one size; ours with frames and receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.contenders.catalogue import CONTENDERS, GANGLION, RAW
from benchmarks.contest import Contest, Pair, loaded
from benchmarks.figures import Figure, at_least, rate, ratio
from benchmarks.payload import BLOCK_BYTES
from benchmarks.rounds import Rounds

__all__ = ["of_64_kib", "of_other_sizes"]

_OTHER_KIB = (4, 16, 256, 1024)


async def of_64_kib(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure the throughput of such replies, one after another."""

    async def take(pair: Pair) -> Mapping[str, float]:
        return await _one_size(contest, pair, BLOCK_BYTES)

    rounds = await contest.alternate((GANGLION, RAW), take)
    found = _throughput("blocks", _title(contest, 64), rounds)
    if "raw" in rounds:
        ours, theirs = (rate(rounds, name, "bytes", "both_cpu_s") for name in ("ganglion", "raw"))
        title = f"{_title(contest, 64)}: work per processor second, of raw aiohttp"
        found.insert(1, ratio("blocks.cpu_of_raw", title, ours, theirs))
    return rounds, found


async def of_other_sizes(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure the same in shorter and in longer chunks, all in each turn."""

    async def take(pair: Pair) -> Mapping[str, float]:
        taken: dict[str, float] = {}
        for kib in _OTHER_KIB:
            one = await _one_size(contest, pair, kib * 1024)
            taken |= {f"{kib}_kib_{quantity}": value for quantity, value in one.items()}
        return taken

    rounds = await contest.alternate((GANGLION, RAW), take)
    return rounds, [
        figure
        for kib in _OTHER_KIB
        for figure in _throughput(
            f"block_sizes.{kib}_kib", _title(contest, kib), rounds, f"{kib}_kib_"
        )
    ]


async def _one_size(contest: Contest, pair: Pair, size: int) -> dict[str, float]:
    count = max(1, contest.sizes.blocks * BLOCK_BYTES // size)
    warm = max(1, count // 20)
    await pair.client.ask("blocks", count=warm, seconds=0.01, size=size)
    load = await loaded(pair, "blocks", count=count, seconds=contest.sizes.turn_s, size=size)
    return {**load, "bytes": load["calls"] * count * size}


def _title(contest: Contest, kib: int) -> str:
    size = f"{kib} KiB" if kib < 1024 else f"{kib // 1024} MiB"
    return f"{contest.sizes.blocks * BLOCK_BYTES / 1e6:,.0f} MB streamed, {size} at a time"


def _throughput(key: str, title: str, rounds: Rounds, quantities: str = "") -> list[Figure]:
    per_s: dict[str, Sequence[float]] = {
        name: rate(rounds, name, f"{quantities}bytes", f"{quantities}seconds")
        for name in CONTENDERS
        if name in rounds
    }
    found = []
    if "raw" in per_s:
        name = f"{title}: throughput, of raw aiohttp"
        found = [ratio(f"{key}.of_raw", name, per_s["ganglion"], per_s["raw"], at_least(0.7))]
    return found + [
        Figure(f"{key}.{name}_mb_per_s", f"{title}: {CONTENDERS[name].title}", "MB/s",
               tuple(value / 1e6 for value in values))
        for name, values in per_s.items()
    ]  # fmt: skip
