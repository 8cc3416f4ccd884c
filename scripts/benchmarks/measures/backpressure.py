"""Memory of both sides while a reader takes 3 of many large chunks and then waits."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.contenders.catalogue import GANGLION
from benchmarks.contest import Contest
from benchmarks.figures import Figure, below
from benchmarks.payload import BLOCK_BYTES
from benchmarks.rounds import Rounds, alternate

__all__ = ["measure"]

_LIMIT_MIB = 8
_HOLD_S = 3.0


async def measure(contest: Contest) -> tuple[Rounds, list[Figure]]:
    """Measure it once; a program's peak can be taken once only."""
    count = contest.sizes.unread_blocks

    async def take(_name: str) -> Mapping[str, float]:
        async with contest.pair(GANGLION) as pair:
            await pair.client.ask("blocks", count=4, seconds=0.01)
            before, made = await pair.server.ask("usage"), await pair.server.ask("blocks_made")
            result: dict[str, float] = await pair.client.ask(
                "unread", count=count, size=BLOCK_BYTES, hold_s=_HOLD_S
            )
            after = await pair.server.ask("usage")
            return {
                "reader_bytes": result["grown_bytes"],
                "axon_bytes": after["peak_bytes"] - before["peak_bytes"],
                # Four of them are the reader's own warm-up.
                "made": await pair.server.ask("blocks_made") - made - 4,
            }

    rounds = await alternate([GANGLION.name], range(1), take)
    return rounds, _figures(rounds, count)


def _figures(rounds: Rounds, count: int) -> list[Figure]:
    def mib(quantity: str) -> tuple[float, ...]:
        return tuple(size / 2**20 for size in rounds.of("ganglion", quantity))

    taken = f"3 of {count:,} x 64 KiB taken"
    return [
        Figure("backpressure.reader_mib", f"reader's memory, {taken}", "MiB", mib("reader_bytes"),
               below(_LIMIT_MIB)),
        Figure("backpressure.axon_mib", f"axon's memory, {taken}", "MiB", mib("axon_bytes"),
               below(_LIMIT_MIB)),
        Figure("backpressure.chunks_made", "chunks that the generator made meanwhile", "",
               tuple(rounds.of("ganglion", "made")), below(count)),
    ]  # fmt: skip
