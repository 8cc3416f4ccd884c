"""Programs of `peers/`, run by the python of an environment that holds an old SDK.

They speak one line of JSON at a time. Reading one blocks, so tests ask from a thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["SDKS", "OldAxon", "OldDendrite", "Program", "Reply"]

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
SDKS = {"10.5.0": ROOT / ".venv-sdk10", "7.4.0": ROOT / ".venv-sdk7"}

LINE_WITHIN_S = 60.0


class Program:
    """One running program. Close it; closing twice is fine.

    Args:
        sdk: Version of the SDK.
        name: File name in `peers/`.
        home: Directory that the SDK may write to; its stderr is kept there.
    """

    def __init__(self, sdk: str, name: str, home: Path) -> None:
        python = SDKS[sdk] / "bin" / "python"
        assert python.exists(), f"{python} is missing; run scripts/test --interop"
        home.mkdir(parents=True, exist_ok=True)
        self._log = home / "stderr.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), str(PEERS / name)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=home,
                env=_environment(home),
            )
        try:
            self.greeting = self._read()
            assert self.greeting["version"] == sdk
        except BaseException:
            self.close()
            raise

    def ask(self, question: Any) -> Any:
        """Write a line and return what the next line holds.

        Raises:
            AssertionError: The program failed, or ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if isinstance(answer, dict) and "crash" in answer:
            raise AssertionError(f"an old SDK's program failed:\n{answer['crash']}")
        return answer

    def log(self) -> str:
        """Return what the program has written to stderr."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """End it at once, as a crash does: its connections are cut."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it, and its pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        watchdog = threading.Timer(LINE_WITHIN_S, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        assert line, f"an old SDK's program ended: {self.log()[-4000:]}"
        return json.loads(line)


def _environment(home: Path) -> dict[str, str]:
    """Return the environment without what would tell the SDK about this machine's owner."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "BT_NO_PARSE_CLI_ARGS": "1", "PYTHONUTF8": "1"}


class OldAxon:
    """//Bob's axon of an old SDK; its routes are in `peers/old_axon.py`."""

    def __init__(self, sdk: str, home: Path) -> None:
        self._program = Program(sdk, "old_axon.py", home)
        self.sdk = sdk
        self.port: int = self._program.greeting["port"]
        self.hotkey: str = self._program.greeting["hotkey"]

    def log(self) -> str:
        """Return what it has written to stderr."""
        return self._program.log()

    def kill(self) -> None:
        """End it as a crash does."""
        self._program.kill()

    def close(self) -> None:
        """End it; safe to call twice."""
        self._program.close()

    @property
    def address(self) -> dict[str, Any]:
        """Return whom an old dendrite must ask."""
        return {"ip": "127.0.0.1", "port": self.port, "hotkey": self.hotkey}


@dataclass(frozen=True, slots=True)
class Reply:
    """What an old dendrite made of one call; the attributes are those of its synapse.

    Attributes:
        chunks: What a stream yielded before its final synapse.
        seconds: How long the call took.
        sent: Path, headers and body as they were sent.
    """

    status_code: int | None
    status_message: str | None
    is_success: bool
    is_failure: bool
    is_timeout: bool
    is_blacklist: bool
    failed_verification: bool
    fields: Mapping[str, Any]
    axon: Mapping[str, Any]
    dendrite: Mapping[str, Any]
    chunks: list[Any]
    seconds: float
    sent: Mapping[str, Any]


class OldDendrite:
    """A dendrite of an old SDK, //Alice's unless a call says otherwise."""

    def __init__(self, sdk: str, home: Path) -> None:
        self._program = Program(sdk, "old_dendrite.py", home)
        self.sdk = sdk

    def close(self) -> None:
        """End it; safe to call twice."""
        self._program.close()

    async def ask(self, peer: Mapping[str, Any], name: str, **call: Any) -> Reply:
        """Carry out one call; its parts are told in `peers/old_dendrite.py`."""
        return (await self.ask_all([{"peer": dict(peer), "name": name, **call}]))[0]

    async def ask_all(self, calls: list[dict[str, Any]], *, at_once: bool = False) -> list[Reply]:
        """Carry out calls one after another, or at once."""
        plan = {"calls": calls, "at_once": at_once}
        results = await asyncio.to_thread(self._program.ask, plan)
        return [Reply(**result) for result in results]
