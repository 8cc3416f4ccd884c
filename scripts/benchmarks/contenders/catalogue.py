"""The list of contenders."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["CONTENDERS", "GANGLION", "GRPC", "RAW", "RECEIPTED", "SDK", "Contender"]

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Contender:
    """Who is measured.

    Attributes:
        name: Its key in bench.json.
        title: What readers see.
        programs: What the names of its two programs begin with.
        environment: What `scripts/setup` makes it from; None for the environment of the run.
        client: Settings of its client program.
        may_refuse: Whether its own rules refuse some of many calls at once; what it refuses does
            not count as done.
    """

    name: str
    title: str
    programs: str
    environment: str | None = None
    client: Mapping[str, Any] = field(default_factory=dict)
    may_refuse: bool = False

    @property
    def python(self) -> Path:
        """The interpreter that runs its programs."""
        if self.environment is None:
            return Path(sys.executable)
        return ROOT / f".venv-{self.environment}" / "bin" / "python"

    def prepare(self) -> None:
        """Make its environment, if it has its own and that is not there yet.

        Raises:
            subprocess.CalledProcessError: It can't be made.
        """
        if self.environment is not None:
            subprocess.run([ROOT / "scripts" / "setup", self.environment], check=True)


# Both ends of the raw contender share our environment, so that aiohttp is the same version.
RAW = Contender("raw", "raw aiohttp, unsigned", "raw")
GANGLION = Contender("ganglion", "Ganglion", "ganglion")
RECEIPTED = Contender(
    "receipted", "Ganglion, replies signed too", "ganglion", client={"receipts": True}
)
SDK = Contender("sdk", "bittensor 10.5.0", "sdk", "sdk10", may_refuse=True)
GRPC = Contender("grpc", "grpc.aio, unsigned", "grpc", "grpc")

CONTENDERS = {each.name: each for each in (RAW, GANGLION, RECEIPTED, SDK, GRPC)}
