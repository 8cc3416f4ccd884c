"""Whether silent peers change what honest ones measure."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contenders.catalogue import GANGLION
from benchmarks.contest import Contest, Pair
from benchmarks.figures import Figure, at_most, ratio
from benchmarks.rounds import Rounds

__all__ = ["measure"]

# What a good miner needs for its first token; without it only this machine's CPU is measured.
_THINK_S = 0.1


async def measure(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure honest first-byte times, with silent peers and without."""
    sizes = contest.sizes

    async def take(pair: Pair) -> Mapping[str, float]:
        result: dict[str, float] = await pair.client.ask(
            "beside_silent", silent=sizes.silent, think_s=_THINK_S
        )
        return result

    rounds = await contest.alternate((GANGLION,), take, server={"peers": sizes.honest})
    name = f"{sizes.honest} honest peers' first byte, beside {sizes.silent} silent ones"
    beside = rounds.of("ganglion", "beside_s")
    return rounds, [
        ratio("silent_peers.of_alone", f"{name}, of alone", beside,
              rounds.of("ganglion", "alone_s"), at_most(1.10)),
        Figure("silent_peers.first_byte_ms", f"{name} (they think for {_THINK_S * 1000:g} ms)",
               "ms", tuple(value * 1000 for value in beside)),
    ]  # fmt: skip
