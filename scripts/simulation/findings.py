"""What a run of the simulation comes to, in numbers."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import mean

from node.network import Hyperparameters
from node.neuron.scoring import prepare_weights, quantise
from node.neuron.state import Event, ScoreRow, Step, ValidatorState

from .costs import Traffic
from .run import Settings, Simulation
from .subnet import Subnet, make_subnet

__all__ = ["Checkpoint", "Finding", "simulate"]

_CHECKPOINTS = (10, 30, 100, 200, 300, 450, 600, 800, 1000, 1500, 2000, 3000, 5000, 10_000)
_FEW = 0.01


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How the scores stand at one time.

    Attributes:
        steps: Steps that were done.
        hours: Virtual hours from the start.
        asked_share: Peers that were judged at least once, of all.
        stray_weight: Share of the weights that dishonest peers would get now.
        misordered: Chance that a random dishonest peer scores no lower than a random honest one.
        score: Mean score by kind.
    """

    steps: int
    hours: float
    asked_share: float
    stray_weight: float
    misordered: float
    score: dict[str, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """One size of subnet.

    Attributes:
        peers: How many.
        sample_size: Peers asked in a step.
        steps: Steps that were simulated.
        step_cpu_ms: Processor milliseconds of one step by stage, without sockets and signatures.
        step_wait_s: Virtual seconds from the first request to the last reply, mean.
        save_ms: Processor milliseconds to save a step in a state with a score for each peer.
        weights_ms: Processor milliseconds to work out and quantise weights.
        metagraph_ms: Processor milliseconds to lay out a metagraph of this size.
        gib_per_day: Traffic of the validator, both ways.
        hours_between: Virtual hours between two requests to one peer, mean.
        hours_to_converge: Virtual hours until at most 1 % of the pairs of an honest and a
            dishonest peer are in the wrong order, and it stays so; None if that was not reached.
        checkpoints: How the scores moved.
    """

    peers: int
    sample_size: int
    steps: int
    step_cpu_ms: dict[str, float]
    step_wait_s: float
    save_ms: float
    weights_ms: float
    metagraph_ms: float
    gib_per_day: float
    hours_between: float
    hours_to_converge: float | None
    checkpoints: list[Checkpoint]

    def to_document(self) -> dict[str, object]:
        """Return JSON values."""
        return asdict(self)


def simulate(
    peers: int, *, sample_size: int, steps: int, traffic: Traffic, seed: int = 0
) -> Finding:
    """Run one validator over one subnet.

    Args:
        peers: Size of the subnet.
        sample_size: Peers asked in a step.
        steps: Steps of the validator.
        traffic: Bytes of one exchange.
        seed: Same seed, same run.
    """
    rng = Random(seed)
    began = time.process_time()
    subnet = make_subnet(peers, rng)
    metagraph_ms = 1000 * (time.process_time() - began)
    settings = Settings(sample_size=sample_size)
    simulation = Simulation(subnet, settings, rng)
    checkpoints = []
    for last in [*(number for number in _CHECKPOINTS if number < steps), steps]:
        while simulation.tally.steps < last:
            simulation.step()
        checkpoints.append(_checkpoint(subnet, simulation))
    tally = simulation.tally
    days = simulation.now_s / 86400
    bytes_in_all = tally.requests * (traffic.request + traffic.reply)
    return Finding(
        peers=peers,
        sample_size=sample_size,
        steps=tally.steps,
        step_cpu_ms={name: 1000 * spent / tally.steps for name, spent in tally.cpu_s.items()},
        step_wait_s=tally.waited_s / tally.steps,
        save_ms=_time_save(subnet, sample_size),
        weights_ms=_time_weights(subnet, simulation),
        metagraph_ms=metagraph_ms,
        gib_per_day=bytes_in_all / days / 2**30,
        hours_between=simulation.now_s / 3600 * peers / tally.requests,
        hours_to_converge=_converged(checkpoints),
        checkpoints=checkpoints,
    )


def _checkpoint(subnet: Subnet, simulation: Simulation) -> Checkpoint:
    scores = simulation.scores.for_hotkeys(subnet.metagraph.hotkeys)
    honest = [score for score, kind in zip(scores, subnet.kinds, strict=True) if kind.is_honest]
    stray = [score for score, kind in zip(scores, subnet.kinds, strict=True) if not kind.is_honest]
    uids, weights = prepare_weights(scores, Hyperparameters())
    lost = sum(
        weight for uid, weight in zip(uids, weights, strict=True) if not subnet.kinds[uid].is_honest
    )
    by_kind: dict[str, list[float]] = {}
    for score, kind in zip(scores, subnet.kinds, strict=True):
        by_kind.setdefault(kind.name, []).append(score)
    return Checkpoint(
        steps=simulation.tally.steps,
        hours=simulation.now_s / 3600,
        asked_share=len(simulation.scores) / len(scores),
        stray_weight=lost,
        misordered=_misordered(honest, stray),
        score={name: mean(values) for name, values in by_kind.items()},
    )


def _misordered(honest: list[float], stray: list[float]) -> float:
    """The chance that one of `stray` is at least one of `honest`, by their ranks."""
    counts = Counter(honest)
    ordered = sorted(counts)
    below, at, total = 0, 0, 0
    for score in sorted(stray):
        while at < len(ordered) and ordered[at] <= score:
            below += counts[ordered[at]]
            at += 1
        total += below
    return total / (len(honest) * len(stray))


def _converged(checkpoints: list[Checkpoint]) -> float | None:
    hours = None
    for point in reversed(checkpoints):
        if point.misordered > _FEW:
            break
        hours = point.hours
    return hours


def _time_weights(subnet: Subnet, simulation: Simulation) -> float:
    began = time.process_time()
    scores = simulation.scores.for_hotkeys(subnet.metagraph.hotkeys)
    quantise(*prepare_weights(scores, Hyperparameters()))
    return 1000 * (time.process_time() - began)


def _time_save(subnet: Subnet, sample_size: int) -> float:
    """Save steps into a real state file that knows every peer; the mean of the later ones."""
    with tempfile.TemporaryDirectory() as folder:
        state = ValidatorState(
            Path(folder) / "state.db", netuid=8, hotkey=subnet.own_hotkey, network="simulated"
        )
        with state:
            hotkeys = subnet.metagraph.hotkeys
            everybody = [ScoreRow(hotkey, uid, 0.5, 1, 1) for uid, hotkey in enumerate(hotkeys)]
            state.save_step(Step(1, 1, 1, 0, 0, 0), [], everybody)
            began = time.process_time()
            for number in range(2, 22):
                events = [
                    Event(number, uid, hotkeys[uid], 1.0, "ok", 200, 0.1, 1.0, 128, 43, 900, 185.0)
                    for uid in range(min(sample_size, len(hotkeys)))
                ]
                rows = [ScoreRow(e.hotkey, e.uid, 0.5, number, number) for e in events]
                state.save_step(
                    Step(number, number, number, 0, len(events), len(events)), events, rows
                )
            return 1000 * (time.process_time() - began) / 20
