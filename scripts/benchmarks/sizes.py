"""How long and how large a run is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Sizes"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of each measure.

    Attributes:
        rounds: How often each contender has its turn.
        starts: How often the programs are started for that, where starting them is quick.
        repeats: How many times as many rounds and starts there are where single calls are timed,
            which vary by a fifth from turn to turn.
        turn_s: Seconds that a turn starts calls for.
        warm_s: Seconds of the same load before it, which count for nothing.
        at_once: Calls that run at a time where many do.
        tokens: Tokens of one stream.
        peers: Peers of a fan-out.
        peer_processes: Processes that those are spread over.
        streams: Streams that are open at once.
        memory_rounds: Rounds of those; memory varies little, and opening them takes long.
        blocks: Chunks of 64 KiB of a large reply.
        unread_blocks: Chunks that a miner could make for a reader that does not read.
        honest: Peers that answer, beside those that are silent.
        silent: Peers that are silent.
    """

    rounds: int
    starts: int
    repeats: int
    turn_s: float
    warm_s: float
    at_once: int
    tokens: int
    peers: int
    peer_processes: int
    streams: int
    memory_rounds: int
    blocks: int
    unread_blocks: int
    honest: int
    silent: int


# Many short rounds rather than few long ones: what else runs here changes by the second.
FULL = Sizes(
    rounds=15, starts=5, repeats=2, turn_s=0.6, warm_s=0.15, at_once=32, tokens=20_000, peers=256,
    peer_processes=2, streams=10_000, memory_rounds=3, blocks=1_526, unread_blocks=4_000,
    honest=136, silent=120,
)  # fmt: skip
QUICK = Sizes(
    rounds=15, starts=3, repeats=1, turn_s=0.2, warm_s=0.05, at_once=32, tokens=5_000, peers=64,
    peer_processes=2, streams=500, memory_rounds=1, blocks=320, unread_blocks=1_000,
    honest=34, silent=30,
)  # fmt: skip
