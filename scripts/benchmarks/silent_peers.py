"""Whether 120 silent peers of 256 change what the honest ones measure."""

from __future__ import annotations

import asyncio
from statistics import median

from figures import Figure
from peers import Word, running, silent

from node import Dendrite, Keypair, Stream

HONEST, SILENT = 136, 120
ROUNDS = 9
# What a good miner needs for its first token; without it only this machine's CPU is measured.
THINK_S = 0.1


async def measure() -> list[Figure]:
    """Return the ratio of honest first-byte times, with silent peers over without."""
    async with (
        running(HONEST) as honest,
        Dendrite(Keypair.generate(), first_byte=2.0) as dendrite,
    ):
        await _first_bytes(dendrite, honest.addresses, [])  # connections are made
        ratios, times = [], []
        for _ in range(ROUNDS):
            with silent(SILENT) as mute:
                alone = await _first_bytes(dendrite, honest.addresses, [])
                beside = await _first_bytes(dendrite, honest.addresses, mute)
            ratios.append(median(beside) / median(alone))
            times.append(median(beside))
    ratio = median(ratios)
    name = f"{HONEST} honest peers' first byte, beside {SILENT} silent ones"
    return [
        Figure(f"{name}, against alone", ratio, "", "<= 1.10", ratio <= 1.10),
        Figure(name, median(times) * 1000, "ms", f"(they think for {THINK_S * 1000:g} ms)", True),
    ]


async def _first_bytes(dendrite: Dendrite, honest: list[str], mute: list[str]) -> list[float]:
    """Ask all at once; the silent ones stand between the honest ones."""
    order = [*honest]
    for index, peer in enumerate(mute):
        order.insert(index * 2, peer)
    async with dendrite.fan_out(order, Word(think_s=THINK_S), timeout=10) as streams:
        answering = [stream for stream in streams if str(stream.peer) not in set(mute)]
        await asyncio.gather(*(stream.final() for stream in answering))
        return [_first_byte(stream) for stream in answering]


def _first_byte(stream: Stream) -> float:
    assert stream.timing.first_byte_s is not None
    assert stream.timing.sent_s is not None
    return stream.timing.first_byte_s - stream.timing.sent_s
