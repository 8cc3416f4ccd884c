"""The request target of a call: route name, deadline and stream mode (docs/protocol.md §3)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from node.errors import MalformedRequest
from node.streams import StreamMode
from node.wire import DigestName

__all__ = ["MAX_TIMEOUT_S", "Target", "origin_form", "parse_target", "route_name"]

MAX_TIMEOUT_S = 86_400.0

# Scheme, authority and the slash after it, which may be missing (RFC 9110 §4.2.3).
_ORIGIN = re.compile(r"https?://[^/?#]*/?", re.IGNORECASE)

_CACHED = 512
_MAX_CACHED_CHARS = 256


@dataclass(frozen=True, slots=True)
class Target:
    """What a target asks for beside its route.

    Attributes:
        timeout_s: Seconds that the caller waits in all, or None when it doesn't say.
        mode: How it wants a streamed reply; `raw` when it doesn't say.
        receipt: Whether it wants a receipt for a unary reply; true when it doesn't say.
        digest: By what a streamed reply is to be digested; SHA-256 when it doesn't say, or names
            one that this node has not.
    """

    timeout_s: float | None
    mode: StreamMode
    receipt: bool
    digest: DigestName = DigestName.SHA256


def origin_form(target: str) -> str:
    """Return a target that names a scheme and a host without them; any other as it is.

    A server must take the absolute form, which proxies send (RFC 9112 §3.2.2). What it names is the
    same as in the origin form, and that is what a caller signs.
    """
    if target[:1] == "/":
        return target
    absolute = _ORIGIN.match(target)
    return target if absolute is None else "/" + target[absolute.end() :]


def route_name(target: str) -> str:
    """Return the name after the slash, percent-decoded; the query is left out."""
    name = target.partition("?")[0].removeprefix("/")
    return unquote(name) if "%" in name else name


def parse_target(target: str) -> Target:
    """Read the query of a target; parameters that are not ours are ignored.

    Raises:
        MalformedRequest: `timeout` is not a number above 0 and up to a day, or `stream` is not
            a mode that this node has.
    """
    query = target.partition("?")[2]
    return _parse_query(query) if len(query) > _MAX_CACHED_CHARS else _parse_cached(query)


def _parse_query(query: str) -> Target:
    fields = dict(parse_qsl(query))
    return Target(
        timeout_s=_parse_timeout(fields.get("timeout")),
        mode=_parse_mode(fields.get("stream", "raw")),
        receipt=fields.get("receipt") != "0",
        digest=_parse_digest(fields.get("digest")),
    )


# A caller sends the same few queries again and again, and one means the same each time. What can't
# be read is not remembered: an error leaves no entry.
_parse_cached = lru_cache(maxsize=_CACHED)(_parse_query)


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


def _parse_digest(text: str | None) -> DigestName:
    # Not refused: a caller who knows a later one reads what this node has.
    return DigestName.BLAKE3 if text == DigestName.BLAKE3 else DigestName.SHA256
