"""Programs of Ganglion as processes of their own, for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from node import Peer

ROOT = Path(__file__).parents[2]
NODE = [sys.executable, "-m", "node"]
_PEER = re.compile(r"serves as (\w+@[\d.]+:\d+)")


def environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment with homes of the test's own, and no settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GANGLION_", "BT_"))}
    own = {"HOME": str(home), "GANGLION_HOME": str(home / "ganglion"), "COLUMNS": "100"}
    return kept | own | more


def run(
    home: Path, *argv: str, program: Sequence[str] = NODE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, in the checkout."""
    return subprocess.run(
        [*program, *argv],
        cwd=ROOT,
        env=environment(home, **variables),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


class Running:
    """A miner's process; `lines` is what it has written to standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    def wait_for(self, pattern: str, timeout_s: float = 60.0) -> re.Match[str]:
        """Waits until a line has the pattern."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if match := re.search(pattern, line):
                    return match
            if self.process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.02)
        raise AssertionError(f"no line has {pattern!r}: {''.join(self.lines)}")

    @property
    def peer(self) -> Peer:
        """Where it serves."""
        return Peer.parse(self.wait_for(_PEER.pattern)[1])

    def wait(self, timeout_s: float = 20.0) -> int:
        """Waits for the end; returns the exit code."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code


@contextmanager
def running(home: Path, *argv: str, program: Sequence[str] = NODE) -> Iterator[Running]:
    """Starts a program and ends it with the block."""
    process = subprocess.Popen(
        [*program, *argv],
        cwd=ROOT,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    program_running = Running(process)
    try:
        yield program_running
    finally:
        if process.poll() is None:
            process.kill()
        program_running.wait()
        assert process.stderr is not None
        process.stderr.close()
