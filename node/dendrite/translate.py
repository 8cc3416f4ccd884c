"""Foreign errors become `CallError`s here and nowhere else."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

import aiohttp
import pydantic_core
from aiohttp.http import HttpProcessingError

from node.errors import (
    BadReply,
    CallError,
    PeerRefused,
    PeerTimeout,
    PeerUnreachable,
    StreamInterrupted,
)
from node.network import Peer

from .deadlines import PhaseClock
from .public_socket import UnroutableError
from .timing import StreamTiming

__all__ = ["parse_document", "refusal", "translate", "translated"]

_MAX_TEXT = 500


def translate(
    error: BaseException, peer: Peer, clock: PhaseClock, timing: StreamTiming
) -> BaseException:
    """Return the `CallError` that an error of aiohttp or of the deadlines stands for.

    It is a PeerTimeout where a deadline passed; PeerUnreachable without a connection, or where it
    closed before the reply's status; BadReply where what came instead of that is no HTTP; and
    StreamInterrupted where the reply broke off after it. Its cause is the error. Any other error
    is returned as it is.

    Args:
        error: What was raised.
        peer: Who was asked.
        clock: Tells which deadline passed.
        timing: Tells how far the call had got.
    """
    if isinstance(error, CallError):
        return error
    if isinstance(error, TimeoutError):
        found = _late(peer, clock, timing)
    elif isinstance(error, aiohttp.ClientError | OSError | HttpProcessingError):
        found = _broken(error, peer, timing)
    else:
        return error
    found.__cause__ = error
    return found


class translated:  # noqa: N801  used like a function, as the context managers of contextlib are
    """Raises what `translate` gives for what its block raises.

    A class rather than a generator, which took 3 us of every call.

    Args:
        peer: As for `translate`.
        clock: As for `translate`.
        timing: As for `translate`.
    """

    __slots__ = ("_clock", "_peer", "_timing")

    def __init__(self, peer: Peer, clock: PhaseClock, timing: StreamTiming) -> None:
        self._peer = peer
        self._clock = clock
        self._timing = timing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        found = translate(error, self._peer, self._clock, self._timing)
        try:
            if found is not error:
                raise found
        finally:
            del found  # its traceback refers to this frame


def _late(peer: Peer, clock: PhaseClock, timing: StreamTiming) -> CallError:
    return PeerTimeout(
        f"the {clock.expired} deadline passed",
        phase=clock.expired,
        peer=str(peer),
        retry_safe=timing.sent_s is None,
    )


def _broken(error: Exception, peer: Peer, timing: StreamTiming) -> CallError:
    if timing.headers_s is not None:
        return StreamInterrupted("the reply broke off", chunks=timing.chunks, peer=str(peer))
    if isinstance(error, HttpProcessingError):
        return BadReply("it sent what is no HTTP reply", peer=str(peer))
    return PeerUnreachable(
        f"not reachable ({_reason(error)})", peer=str(peer), retry_safe=timing.sent_s is None
    )


def _reason(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, UnroutableError):
        return str(cause)
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno).lower()
    return type(error).__name__


def refusal(peer: str, status: int, body: bytes, retry_after: str | None = None) -> PeerRefused:
    """Return the error for an error status, or an ERROR frame, with what its body says.

    Args:
        peer: The peer as text.
        status: HTTP status.
        body: JSON document with `code` and `message`, if it is one; cut by the caller.
        retry_after: The `Retry-After` header.
    """
    document = parse_document(body)
    message = document.get("message") or document.get("detail") or f"HTTP status {status}"
    if "clock_offset_s" in document:
        message = f"{message} Clock offset: {document['clock_offset_s']} s."
    if "error_id" in document:
        message = f"{message} Error id: {document['error_id']}."
    return PeerRefused(
        str(message)[:_MAX_TEXT],
        status=status,
        code=str(document.get("code", ""))[:80],
        peer=peer,
        retry_safe=status in (429, 503),
        retry_after=_seconds(document.get("retry_after_s", retry_after)),
    )


def parse_document(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a peer sent, empty when it sent none.

    pydantic's parser is used because it bounds the depth, where that of `json` raises
    RecursionError, and because its text never holds half of a surrogate pair.
    """
    try:
        document = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < 1e9 else None
