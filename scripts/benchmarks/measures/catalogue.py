"""The list of measures, in the order in which they are taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from benchmarks.contest import Contest
from benchmarks.figures import Figure
from benchmarks.rounds import Rounds

from . import (
    backpressure,
    blocks,
    fan_out,
    first_token,
    instructions,
    open_streams,
    silent_peers,
    start_up,
    tokens,
    unary,
)

__all__ = ["MEASURES", "QUICK_MEASURES", "Measure"]

Measure = Callable[[Contest], Awaitable[tuple[Rounds, list[Figure]]]]

MEASURES: dict[str, Measure] = {
    "unary": unary.one_by_one,
    "unary_many": unary.many_at_once,
    "tokens": tokens.as_they_go,
    "ticks": tokens.tick_by_tick,
    "first_token": first_token.measure,
    "fan_out": fan_out.measure,
    "open_streams": open_streams.measure,
    "blocks": blocks.of_64_kib,
    "block_sizes": blocks.of_other_sizes,
    "start_up": start_up.measure,
    "backpressure": backpressure.measure,
    "silent_peers": silent_peers.measure,
    "instructions": instructions.measure,
}
QUICK_MEASURES = ("unary", "unary_many", "tokens", "first_token", "open_streams", "blocks",
                  "start_up")  # fmt: skip
