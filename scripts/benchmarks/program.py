"""A child program as the run sees it; `lines` is the child's side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

__all__ = ["BenchError", "Child", "running"]

SCRIPTS = Path(__file__).resolve().parent.parent
_LONGEST_LINE = 2**24
_START_WITHIN_S = 120.0
_END_WITHIN_S = 5.0


class BenchError(Exception):
    """A measure could not be taken; the text says why."""


class Child:
    """One running program. `running` starts and ends it."""

    def __init__(self, module: str, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self._module = module
        self._process = process
        self._log = log
        self.greeting: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ask(self, do: str, *, within_s: float = 60.0, **arguments: Any) -> Any:
        """Have a command carried out, and return its outcome.

        Args:
            do: The command.
            within_s: Seconds after which the program counts as stuck.
            **arguments: Of the command.

        Raises:
            BenchError: The command failed, the program ended, or took too long.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        answer = await self.read(within_s)
        if isinstance(answer, dict) and "crash" in answer:
            raise BenchError(f"{self._module} failed to {do}:\n{answer['crash']}")
        return answer

    async def read(self, within_s: float) -> Any:
        """Return the next line.

        Raises:
            BenchError: The program ended, or took too long.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise BenchError(f"{self._module} said nothing for {within_s:g} s") from None
        if not line:
            raise BenchError(f"{self._module} ended by itself:\n{self._last_words()}")
        return json.loads(line)

    def pause(self) -> None:
        """Stop it, so that an idle contender takes no time from the one whose turn it is.

        Where a paused program would outlive the run (`lines.begin`), it is left running.
        """
        if sys.platform == "linux":
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on; one that runs is not disturbed."""
        if sys.platform == "linux":
            self._process.send_signal(signal.SIGCONT)

    async def close(self) -> None:
        """End it, and wait until it has ended."""
        assert self._process.stdin is not None
        with suppress(ProcessLookupError):
            self.resume()
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read()[-3000:].decode(errors="replace")


@asynccontextmanager
async def running(
    python: Path,
    module: str,
    settings: Mapping[str, Any],
    *,
    home: Path,
    under: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Child]:
    """Run a program for as long as the block runs; its greeting has come.

    Args:
        python: Whose environment it runs in.
        module: Its name below `benchmarks`.
        settings: What it is told on its command line.
        home: Directory that stands for the user's home.
        under: The command that runs the interpreter, such as valgrind; none by default.
        environment: What the program's environment has beside the usual.

    Raises:
        BenchError: It did not start.
    """
    with tempfile.TemporaryFile(dir=home) as log:
        process = await asyncio.create_subprocess_exec(
            *under, str(python), "-m", f"benchmarks.{module}", json.dumps(settings),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            limit=_LONGEST_LINE, cwd=home, env={**_environment(home), **(environment or {})},
        )  # fmt: skip
        child = Child(module, process, log)
        try:
            child.greeting = await child.read(_START_WITHIN_S)
            yield child
        finally:
            await child.close()


def _environment(home: Path) -> dict[str, str]:
    """Return the environment without what would tell a program about this machine's owner."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": str(SCRIPTS),
        "PYTHONUTF8": "1",
        "BT_NO_PARSE_CLI_ARGS": "1",
    }
