"""`scripts/simulate`: sizes and samples in, a table and simulation.json out."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .costs import count_traffic
from .findings import Finding, simulate
from .kinds import KINDS
from .plot import draw


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sizes that are asked for; returns 0."""
    args = _parser().parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 130)
    traffic = asyncio.run(count_traffic())
    console.print(
        f"one exchange takes {traffic.request:.0f} bytes up and {traffic.reply:.0f} bytes down"
    )
    findings = []
    for peers in args.peers:
        for sample_size in args.sample:
            finding = simulate(
                peers, sample_size=sample_size, steps=args.steps, traffic=traffic, seed=args.seed
            )
            findings.append(finding)
            console.print(
                f"{peers} peers, {sample_size} asked in a step: {finding.steps} steps done"
            )
    console.print(_costs(findings), _scores(findings))
    document = {
        "traffic": {"request": traffic.request, "reply": traffic.reply},
        "kinds": {name: kind.share for name, kind in KINDS.items()},
        "findings": [finding.to_document() for finding in findings],
    }
    Path(args.out).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if args.plot:
        draw(findings, Path(args.plot))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument(
        "--peers", type=_numbers, default=[256, 4096, 65536], metavar="N,...",
        help="sizes of the subnet [256,4096,65536]",
    )  # fmt: skip
    parser.add_argument(
        "--sample", type=_numbers, default=[50, 1024], metavar="N,...",
        help="peers asked in a step [50,1024]",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=3000, metavar="N", help="of 12 s [3000]")
    parser.add_argument("--seed", type=int, default=0, help="of all chance [0]")
    parser.add_argument("--plot", metavar="FILE", help="draw it to a .svg or .png file")
    parser.add_argument("--out", default="simulation.json", metavar="FILE")
    return parser


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("every number must be 1 or more")
    return numbers


def _costs(findings: list[Finding]) -> Table:
    table = Table(title="What a step costs")
    for name in (
        "peers", "sample", "CPU ms", "save ms", "weights ms", "wait s", "GiB/day",
        "h between", "h to converge",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for finding in findings:
        hours = finding.hours_to_converge
        table.add_row(
            f"{finding.peers}",
            f"{finding.sample_size}",
            f"{sum(finding.step_cpu_ms.values()):.2f}",
            f"{finding.save_ms:.1f}",
            f"{finding.weights_ms:.1f}",
            f"{finding.step_wait_s:.1f}",
            f"{finding.gib_per_day:.2f}",
            f"{finding.hours_between:.2f}",
            "-" if hours is None else f"{hours:.1f}",
        )
    return table


def _scores(findings: list[Finding]) -> Table:
    table = Table(title="Scores at the end, by kind; weight that goes astray")
    for name in ("peers", "sample", *KINDS, "judged", "misordered", "astray"):
        table.add_column(name, justify="right")
    for finding in findings:
        last = finding.checkpoints[-1]
        table.add_row(
            f"{finding.peers}",
            f"{finding.sample_size}",
            *(f"{last.score.get(name, 0.0):.2f}" for name in KINDS),
            f"{last.asked_share:.0%}",
            f"{last.misordered:.1%}",
            f"{last.stray_weight:.1%}",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
