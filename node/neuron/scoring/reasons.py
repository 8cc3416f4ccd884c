"""Why a reply is worth what it is worth: one word for each way to earn nothing.

Rules of this package:

1. Nothing here reads a file, a socket or a clock, or knows asyncio. Randomness is an argument.
2. What comes from a peer, or was measured of one, never raises: it is worth 0. What the programmer
   sets, such as an alpha of 2, raises `ConfigError` when it is set.
"""

from __future__ import annotations

from enum import StrEnum

from node import errors

__all__ = ["Reason", "reason_of"]


class Reason(StrEnum):
    """Why a peer got its reward. The words are stored and exported, and never change."""

    OK = "ok"
    NOT_SERVING = "not_serving"
    DORMANT = "dormant"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    BAD_REPLY = "bad_reply"
    TOO_LONG = "too_long"
    NO_RECEIPT = "no_receipt"
    BAD_RECEIPT = "bad_receipt"
    WRONG_ANSWER = "wrong_answer"
    EMPTY = "empty"
    TOO_SLOW = "too_slow"
    TOKEN_COUNT = "token_count"  # noqa: S105 - the peer's own count of its tokens is not ours
    REWARD_ERROR = "reward_error"
    REWARD_TIMEOUT = "reward_timeout"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"


_OF_PHASE = {
    "connect": Reason.CONNECT_TIMEOUT,
    "first_byte": Reason.FIRST_BYTE_TIMEOUT,
    "idle": Reason.IDLE_TIMEOUT,
    "total": Reason.TOTAL_TIMEOUT,
}
_OF_CODE = {
    "rate_limited": Reason.RATE_LIMITED,
    "overloaded": Reason.OVERLOADED,
    "forward_failed": Reason.FAILED,
}
_OF_STATUS = {
    429: Reason.RATE_LIMITED,
    503: Reason.OVERLOADED,
}
# The most particular first: PeerDormant is a PeerUnreachable, BadStream a BadReply.
_OF_TYPE: tuple[tuple[type[errors.CallError], Reason], ...] = (
    (errors.PeerDormant, Reason.DORMANT),
    (errors.PeerUnreachable, Reason.UNREACHABLE),
    (errors.StreamInterrupted, Reason.INTERRUPTED),
    (errors.BadReceipt, Reason.BAD_RECEIPT),
    (errors.BadReply, Reason.BAD_REPLY),
)


def reason_of(error: errors.CallError) -> Reason:
    """The reason that a failed call stands for. Total: it never raises.

    A refusal's `code` goes before its `status`, because an error frame of a stream need not name a
    status. Both are the peer's own words, and change nothing but the word that is written down.

    Args:
        error: What the dendrite raised. A kind that is not known here is `FAILED`.
    """
    if isinstance(error, errors.PeerTimeout):
        return _OF_PHASE.get(error.phase, Reason.TOTAL_TIMEOUT)
    if isinstance(error, errors.PeerRefused):
        return _of_refusal(error)
    for kind, reason in _OF_TYPE:
        if isinstance(error, kind):
            return reason
    return Reason.FAILED


def _of_refusal(error: errors.PeerRefused) -> Reason:
    reason = _OF_CODE.get(error.code) or _OF_STATUS.get(error.status)
    if reason is None:
        reason = Reason.FAILED if error.status >= 500 else Reason.REFUSED
    return reason
