"""`ganglion demo --faulty N`: a network with faulty miners in one process, and a validator over it.

Every axon listens on loopback, every request is signed and checked; only the processes are one. The
validator is the one that operators run, with its state in a temporary folder. At the end each kind
of miner is shown with its scores, and the exit code tells whether every faulty miner that can be
told from an honest one ended below every honest one.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from node.neuron.config import Config
from node.neuron.engine import EchoEngine
from node.neuron.flags import build_parser
from node.neuron.prompts import random_prompt
from node.neuron.resolver import resolve
from node.neuron.validator import Validator
from node.testing import TestNetwork
from protocols.prompting import StreamPrompting

from .board import board_for

if TYPE_CHECKING:
    from node.network import Peer
    from node.neuron.round import Round

__all__ = ["run_box"]

HONEST = "honest"
_TIMEOUT_S = 4
_MIN_WORDS, _MAX_WORDS = 32, 48
_PIPE_WIDTH = 100


@dataclass(slots=True)
class _Kind:
    """What became of the miners of one kind."""

    scores: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


class _DemoValidator(Validator):
    """The default validator with shorter prompts, that remembers every reason."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, board=board_for(sys.stderr))
        self.reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def make_prompt(self) -> str:
        return random_prompt(self.rng, low=_MIN_WORDS, high=_MAX_WORDS)

    async def step(self) -> Round:
        done = await super().step()
        for event in done.events:
            self.reasons[event.hotkey][event.reason] += 1
        return done


async def run_box(miners: int, faulty: int, *, token_delay_s: float, steps: int) -> int:
    """Run the network and the validator; return 0 when the scores tell the faulty ones apart.

    Args:
        miners: In all.
        faulty: How many of them have a fault; all kinds of faults are met in turn.
        token_delay_s: Pause of honest miners between two tokens.
        steps: Steps of the validator.

    Raises:
        NodeError: A port or a file can't be used.
    """
    with tempfile.TemporaryDirectory(prefix="ganglion-demo-") as folder:
        net = TestNetwork(
            miners - faulty, faulty, forward=_echo_slowly(token_delay_s), transport="loopback"
        )
        async with net:
            validator = await _make_validator(net, Path(folder), miners, steps)
            async with validator:
                await validator.run_steps()
                await validator.set_weights()
            kinds = _kinds(net, validator)
    _print(kinds)
    return 0 if _are_apart(kinds) else 1


def _echo_slowly(delay_s: float) -> Callable[..., AsyncIterator[str]]:
    engine = EchoEngine(delay_s=delay_s)

    async def forward(synapse: StreamPrompting) -> AsyncIterator[str]:
        async for token in engine.tokens(synapse.messages[-1]):
            yield token

    return forward


async def _make_validator(
    net: TestNetwork, folder: Path, miners: int, steps: int
) -> _DemoValidator:
    flags = [
        *await net.flags_for(net.validators[0]),
        "--neuron.state", str(folder / "state.db"),
        "--neuron.steps", str(steps), "--neuron.step_interval", "0",
        "--neuron.sample_size", str(miners), "--neuron.timeout", str(_TIMEOUT_S),
    ]  # fmt: skip
    parser = build_parser("validator", prog="ganglion demo")
    # Reading the wallet's files blocks.
    return await asyncio.to_thread(lambda: _DemoValidator(resolve(parser, flags, {})))


def _kinds(net: TestNetwork, validator: _DemoValidator) -> dict[str, _Kind]:
    kinds: defaultdict[str, _Kind] = defaultdict(_Kind)
    faults: Mapping[Peer, str] = net.faulty
    for peer in net.peers:
        kind = kinds[faults.get(peer, HONEST)]
        kind.scores.append(validator.scores.score_of(peer.hotkey))
        kind.reasons.update(validator.reasons[peer.hotkey])
    return dict(kinds)


def _are_apart(kinds: Mapping[str, _Kind]) -> bool:
    honest = min(kinds[HONEST].scores, default=1.0)
    faulty = [score for name, kind in kinds.items() if name != HONEST for score in kind.scores]
    return max(faulty, default=0.0) < honest


def _print(kinds: Mapping[str, _Kind]) -> None:
    # A pipe has no width; in a terminal the table takes what there is.
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    table = Table(title="Scores after the last step", title_justify="left")
    table.add_column("miners")
    for heading in ("how many", "lowest", "highest"):
        table.add_column(heading, justify="right")
    table.add_column("reasons")
    for name, kind in sorted(kinds.items(), key=lambda item: -max(item[1].scores)):
        reasons = ", ".join(f"{word} {count}" for word, count in kind.reasons.most_common(3))
        table.add_row(
            name, str(len(kind.scores)), f"{min(kind.scores):.3f}", f"{max(kind.scores):.3f}",
            reasons or "-",
        )  # fmt: skip
    console.print(table)
    if _are_apart(kinds):
        console.print("Every faulty miner is below every honest one.")
    else:
        console.print("Some faulty miner is not below every honest one; is this machine busy?")
