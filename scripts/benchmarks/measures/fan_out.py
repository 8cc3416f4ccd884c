"""Asking many peers whose connections stand: when the last request leaves, and how far apart."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contenders.catalogue import CONTENDERS, GANGLION, RAW, SDK
from benchmarks.contest import Contest, Pair
from benchmarks.figures import Figure, at_most, ratio
from benchmarks.program import BenchError
from benchmarks.rounds import Rounds

__all__ = ["measure"]


async def measure(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure both; the peers are spread over a few processes, and answer at once."""
    sizes = contest.sizes
    servers = sizes.peer_processes

    async def take(pair: Pair) -> Mapping[str, float]:
        await pair.client.ask("fan_out")  # connections are made
        result = _checked(pair, await pair.client.ask("fan_out"), sizes.peers)
        if pair.contender is GANGLION:
            level = _checked(pair, await pair.client.ask("fan_out", barrier=True), sizes.peers)
            result["barrier_last_s"] = level["last_s"]
            result["barrier_spread_s"] = level["last_s"] - level["first_s"]
        return result

    rounds = await contest.alternate(
        (GANGLION, RAW, SDK),
        take,
        servers=servers,
        server={"peers": sizes.peers // servers},
        starts=1,
    )
    return rounds, _figures(rounds, sizes.peers)


def _checked(pair: Pair, result: dict[str, float], peers: int) -> dict[str, float]:
    if result["answered"] != peers and not pair.contender.may_refuse:
        raise BenchError(f"{pair.contender.title}: {result['answered']} of {peers} peers answered")
    return result


def _figures(rounds: Rounds, peers: int) -> list[Figure]:
    def milliseconds(name: str, quantity: str) -> tuple[float, ...]:
        return tuple(value * 1000 for value in rounds.of(name, quantity))

    found = [
        Figure("fan_out.last_sent_ms", f"{peers} warm peers: last request sent", "ms",
               milliseconds("ganglion", "last_s"), at_most(60)),
        Figure("fan_out.barrier_spread_ms", f"{peers} warm peers: spread with a barrier", "ms",
               milliseconds("ganglion", "barrier_spread_s"), at_most(15)),
    ]  # fmt: skip
    for name in ("raw", "sdk"):
        if name in rounds:
            title = f"{peers} warm peers: last request sent"
            found.append(
                ratio(f"fan_out.of_{name}", f"{title}, of {CONTENDERS[name].title}",
                      rounds.of("ganglion", "last_s"), rounds.of(name, "last_s"))
            )  # fmt: skip
            found.append(
                Figure(f"fan_out.{name}_last_sent_ms", f"{title}: {CONTENDERS[name].title}", "ms",
                       milliseconds(name, "last_s"))
            )  # fmt: skip
    return found
