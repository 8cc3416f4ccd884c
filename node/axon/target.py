"""The request target of a call: route name, deadline and stream mode (docs/protocol.md §3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from node.errors import MalformedRequest
from node.streams import StreamMode

__all__ = ["MAX_TIMEOUT_S", "Target", "parse_target", "route_name"]

MAX_TIMEOUT_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Target:
    """What a target asks for beside its route.

    Attributes:
        timeout_s: Seconds that the caller waits in all, or None when it doesn't say.
        mode: How it wants a streamed reply; `raw` when it doesn't say.
        receipt: Whether it wants a receipt for a unary reply; true when it doesn't say.
    """

    timeout_s: float | None
    mode: StreamMode
    receipt: bool


def route_name(target: str) -> str:
    """Return the name after the slash, percent-decoded; the query is left out."""
    return unquote(target.partition("?")[0].removeprefix("/"))


def parse_target(target: str) -> Target:
    """Read the query of a target; parameters that are not ours are ignored.

    Raises:
        MalformedRequest: `timeout` is not a number above 0 and up to a day, or `stream` is not
            a mode that this node has.
    """
    query = dict(parse_qsl(target.partition("?")[2]))
    return Target(
        timeout_s=_parse_timeout(query.get("timeout")),
        mode=_parse_mode(query.get("stream", "raw")),
        receipt=query.get("receipt") != "0",
    )


def _parse_timeout(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        timeout_s = float(text)
    except ValueError:
        timeout_s = math.nan
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise MalformedRequest(
            f"timeout must be a number of seconds above 0 and up to {MAX_TIMEOUT_S:g}."
        )
    return timeout_s


def _parse_mode(text: str) -> StreamMode:
    try:
        return StreamMode(text)
    except ValueError:
        raise MalformedRequest(f"stream must be one of {', '.join(StreamMode)}.") from None
