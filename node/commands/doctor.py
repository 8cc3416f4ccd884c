"""`ganglion doctor`: what an operator would check before a launch, or when nobody calls."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from node.neuron.flags import add_flags, build_parser
from node.neuron.resolver import resolve
from node.neuron.terminal_text import one_line
from node.neuron.values import CommaList, named, seconds

if TYPE_CHECKING:
    from rich.text import Text

    from node.neuron.config import Config
    from node.neuron.doctor import Diagnosis, Finding

__all__ = ["main"]

_CHECKS = (
    "settings", "software", "folders", "wallet", "network", "registration", "address", "record",
    "port", "reach", "clock", "protocols", "receipt",
)  # fmt: skip
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
_EPILOG = (
    "Give it the flags, the environment and the --config of the miner or validator that it is "
    "about; flags that a subclass added are left out. It changes nothing: it registers and "
    "publishes nobody. A running axon gets a few signed requests and one short prompt."
)


def main(argv: Sequence[str], prog: str) -> int:
    """Makes the checks and prints what they found.

    Returns:
        0 when none failed, 1 when one did.

    Raises:
        ConfigError: A setting is wrong.
    """
    parser = build_parser(
        "validator",
        prog=prog,
        description="Check a neuron before it is launched, or when nobody calls it: settings, "
        "wallet, network, registration, address, port, clock, protocols. Each line says what was "
        "found and what to do.",
    )
    add_flags(parser, "miner")
    parser.epilog = _EPILOG
    group = parser.add_argument_group("doctor")
    group.add_argument("--json", action="store_true", help="print JSON instead of a table")
    group.add_argument(
        "--skip", type=CommaList(named(*_CHECKS)), default=(), metavar="CHECKS",
        help=f"checks to leave out, with commas between, of {', '.join(_CHECKS)}",
    )  # fmt: skip
    group.add_argument(
        "--timeout", type=seconds(), default=10.0, metavar="SECONDS",
        help="most time that one check may take [10]",
    )  # fmt: skip
    config = resolve(parser, argv)
    before = set(threading.enumerate())
    diagnosis = _diagnose(config)
    if config["json"]:
        print(json.dumps(diagnosis.to_mapping(), indent=2))
    else:
        _show(diagnosis)
    return _end(1 if diagnosis.failed else 0, before)


def _diagnose(config: Config) -> Diagnosis:
    from node.neuron.doctor import check_wallet, examine

    key, wallet = check_wallet(config)
    return asyncio.run(
        examine(config, key, wallet, skip=config["skip"], timeout_s=config["timeout"])
    )


def _end(code: int, before: Iterable[threading.Thread]) -> int:
    """Ends the process here if a thread still waits for a network that does not answer."""
    from node.neuron.lifecycle import end_process, lingering_threads

    if lingering_threads(set(before), wait_s=0.1):
        end_process(code)
    return code


def _show(diagnosis: Diagnosis) -> None:
    if not sys.stdout.isatty():
        for finding in diagnosis.findings:
            print("\n".join(_lines(finding)))
        print(_summary(diagnosis))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in diagnosis.findings:
        table.add_row(*_cells(finding))
    console = Console(highlight=False)
    console.print(table)
    console.print(_summary(diagnosis), style=_STYLES["fail" if diagnosis.failed else "ok"])


def _lines(finding: Finding) -> list[str]:
    lines = [f"{finding.verdict:<5}{finding.check:<13}{one_line(finding.found)}"]
    if finding.advice:
        lines.append(f"{'':<18}-> {one_line(finding.advice)}")
    return lines


def _cells(finding: Finding) -> tuple[Text, Text, Text]:
    from rich.text import Text

    # Text, not str: rich would take brackets in what a peer said for markup.
    found = Text(one_line(finding.found), "dim" if finding.verdict == "skip" else "")
    if finding.advice:
        found.append(f"\n→ {one_line(finding.advice)}", _STYLES[finding.verdict])
    return Text(finding.verdict, _STYLES[finding.verdict]), Text(finding.check, "bold"), found


def _summary(diagnosis: Diagnosis) -> str:
    from node.neuron.doctor import Verdict

    words = {Verdict.FAIL: "failed", Verdict.WARN: "to look at", Verdict.SKIP: "not checked"}
    counts = [f"{diagnosis.count(verdict)} {word}" for verdict, word in words.items()
              if diagnosis.count(verdict)]  # fmt: skip
    good = f"{diagnosis.count(Verdict.OK)} of {len(diagnosis.findings)} checks are good"
    return f"{good}; {', '.join(counts)}" if counts else good
