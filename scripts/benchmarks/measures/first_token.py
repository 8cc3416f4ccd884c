"""How long a stream's first token takes, and each later one while the server's loop is idle."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contenders.catalogue import CONTENDERS, GANGLION, GRPC, RAW, SDK
from benchmarks.contest import Contest, Pair
from benchmarks.figures import Figure, at_most, ratio
from benchmarks.rounds import Rounds

__all__ = ["measure"]

ENTRANTS = (GANGLION, RAW, GRPC, SDK)
_PACED, _GAP_S = 50, 0.002


async def measure(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure both; a turn is half of each."""
    half_s = contest.sizes.turn_s / 2

    async def take(pair: Pair) -> Mapping[str, float]:
        await pair.client.ask("unary", at_once=1, seconds=contest.sizes.warm_s)
        first = await pair.client.ask("first_token", seconds=half_s)
        later = await pair.client.ask("delays", count=_PACED, gap_s=_GAP_S, seconds=half_s)
        return {
            **{f"first_{name}": value for name, value in first.items()},
            **{f"later_{name}": value for name, value in later.items()},
        }

    rounds = await contest.alternate(ENTRANTS, take, repeats=contest.sizes.repeats)
    return rounds, _figures(rounds)


def _figures(rounds: Rounds) -> list[Figure]:
    present = [name for name in CONTENDERS if name in rounds]
    found = []
    if "raw" in present:
        first, later = "first_median_s", "later_median_s"
        found = [
            ratio("first_token.of_raw", "time to first token, of raw aiohttp",
                  rounds.of("ganglion", first), rounds.of("raw", first), at_most(1.3)),
            # The quickest quarter of a turn waited least for whatever else runs on the machine.
            ratio("first_token.quick_of_raw", "the same, lower quartiles",
                  rounds.of("ganglion", "first_low_s"), rounds.of("raw", "first_low_s")),
            ratio("first_token.later_of_raw", "delay of a later token, loop idle, of raw aiohttp",
                  rounds.of("ganglion", later), rounds.of("raw", later)),
        ]  # fmt: skip
    return found + [
        Figure(f"first_token.{key}{name}_ms", f"{title}: {CONTENDERS[name].title}", "ms",
               tuple(value * 1000 for value in rounds.of(name, quantity)))
        for key, title, quantity in (
            ("", "time to first token", "first_median_s"),
            ("later_", "delay of a later token", "later_median_s"),
        )
        for name in present
    ]  # fmt: skip
