"""Keeps an old SDK on loopback, off the internet, and off the pipe that the tests read.

Imported before `bittensor` by the programs beside it, which the old SDK's own python runs.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

__all__ = ["EXTERNAL_IP", "claim_stdout", "refuse_other_hosts", "write_line"]

# Of TEST-NET-1: whatever connects to it would connect to nobody. A dendrite whose own external IP
# is its target's would go to 0.0.0.0 instead (WIRE.md §2.1).
EXTERNAL_IP = "192.0.2.1"


def claim_stdout() -> TextIO:
    """Return the real stdout; what else is printed, as the SDK's log is, goes to stderr."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return lines


def write_line(lines: TextIO, value: Any) -> None:
    """Write a value as one line of JSON."""
    lines.write(json.dumps(value) + "\n")
    lines.flush()


def refuse_other_hosts() -> None:
    """Make every connection of this process to anything but loopback an error."""
    sys.addaudithook(_check_event)


def _check_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else "a unix socket"
        if isinstance(address, tuple) and not str(host).startswith(("127.", "0.0.0.0")):
            raise PermissionError(f"the old SDK may not connect to {host}")
    elif event in ("socket.getaddrinfo", "os.system", "subprocess.Popen"):
        raise PermissionError(f"the old SDK may not use {event}")
