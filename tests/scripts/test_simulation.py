"""The simulation runs the validator's own code; what it says of it must be so."""

from __future__ import annotations

from random import Random

import pytest
from simulation.costs import Traffic, count_traffic
from simulation.findings import _converged, _misordered, simulate
from simulation.kinds import KINDS, assign

TRAFFIC = Traffic(1000.0, 2000.0)


@pytest.fixture(scope="module")
def finding() -> object:
    return simulate(64, sample_size=16, steps=200, traffic=TRAFFIC)


def test_the_scores_tell_the_kinds_apart(finding: object) -> None:
    last = finding.checkpoints[-1]  # type: ignore[attr-defined]
    assert last.score["near"] > last.score["flaky"] > last.score["guesser"] > last.score["slow"]
    assert last.score["unsigned"] == last.score["dead"] == 0.0
    # It works until its score is seen to pass 0.5, and no further.
    assert 0.3 < last.score["sleeper"] < 0.6
    assert last.misordered < 0.01
    assert last.asked_share == 1.0


def test_the_figures_are_those_of_the_run(finding: object) -> None:
    assert finding.steps == 200  # type: ignore[attr-defined]
    assert 0 < finding.step_wait_s <= 10.0  # type: ignore[attr-defined]
    # At most 16 requests of 3,000 bytes every 12 s; fewer while peers are dormant.
    most = 16 * 3000 * 7200 / 2**30
    assert 0.8 * most < finding.gib_per_day <= most  # type: ignore[attr-defined]
    assert all(cost >= 0 for cost in finding.step_cpu_ms.values())  # type: ignore[attr-defined]


def test_one_seed_is_one_run(finding: object) -> None:
    again = simulate(64, sample_size=16, steps=200, traffic=TRAFFIC)
    assert again.checkpoints == finding.checkpoints  # type: ignore[attr-defined]
    other = simulate(64, sample_size=16, steps=200, traffic=TRAFFIC, seed=1)
    assert other.checkpoints != again.checkpoints


@pytest.mark.parametrize(
    ("honest", "stray", "chance"),
    [
        ([1.0, 0.9], [0.1, 0.0], 0.0),
        ([0.1, 0.0], [1.0, 0.9], 1.0),
        ([0.5], [0.5], 1.0),
        ([0.2, 0.4, 0.6, 0.8], [0.5, 0.1], 0.25),
    ],
)
def test_pairs_in_the_wrong_order(honest: list[float], stray: list[float], chance: float) -> None:
    assert _misordered(honest, stray) == chance


def test_converged_means_for_good(finding: object) -> None:
    from dataclasses import replace

    point = finding.checkpoints[0]  # type: ignore[attr-defined]
    points = [replace(point, hours=h, misordered=m) for h, m in [(1, 0.0), (2, 0.5), (3, 0.0)]]
    assert _converged(points) == 3
    assert _converged(points[:2]) is None


def test_every_kind_has_its_share() -> None:
    kinds = assign(1000, Random(0))
    for kind in KINDS.values():
        assert kinds.count(kind) == round(1000 * kind.share)
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1.0)


async def test_traffic_is_counted_on_real_exchanges() -> None:
    traffic = await count_traffic()
    assert 400 < traffic.request < 3000
    assert 500 < traffic.reply < 20_000
