from __future__ import annotations

from typing import Any

import pytest

from node import errors
from node.neuron.scoring import Reason, reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.PeerDormant("x", retry_after=1.0), "dormant"),
        (errors.PeerUnreachable("x"), "unreachable"),
        (errors.PeerTimeout("x", phase="connect"), "connect_timeout"),
        (errors.PeerTimeout("x", phase="first_byte"), "first_byte_timeout"),
        (errors.PeerTimeout("x", phase="idle"), "idle_timeout"),
        (errors.PeerTimeout("x", phase="total"), "total_timeout"),
        (errors.PeerTimeout("x", phase="of the moon"), "total_timeout"),
        (errors.StreamInterrupted("x", chunks=3), "interrupted"),
        (errors.BadReply("x"), "bad_reply"),
        (errors.BadStream("x"), "bad_reply"),
        (errors.CutStream("x"), "bad_reply"),
        (errors.BadReceipt("x"), "bad_receipt"),
        (errors.CallError("x"), "failed"),
    ],
)
def test_an_error_by_its_kind(error: errors.CallError, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "stale_request", "refused"),
        (403, "forbidden", "refused"),
        (404, "unknown_route", "refused"),
        (429, "", "rate_limited"),
        (503, "", "overloaded"),
        (500, "", "failed"),
        (504, "", "failed"),
        (500, "overloaded", "overloaded"),
        (500, "rate_limited", "rate_limited"),
        (500, "forward_failed", "failed"),
        (200, "forward_failed", "failed"),
        (503, "x" * 80, "overloaded"),
        (-1, "", "refused"),
        (10**30, "", "failed"),
    ],
)
def test_a_refusal_by_its_code_and_then_its_status(status: int, code: str, reason: str) -> None:
    assert reason_of(errors.PeerRefused("x", status=status, code=code)) == reason


def test_every_kind_of_call_error_has_a_reason() -> None:
    needed: dict[str, dict[str, Any]] = {
        "PeerDormant": {"retry_after": 1.0},
        "PeerTimeout": {"phase": "idle"},
        "PeerRefused": {"status": 400},
        "StreamInterrupted": {"chunks": 0},
    }
    kinds = [errors.CallError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        ours = kind.__module__ == errors.__name__
        error = kind("x", **needed.get(kind.__name__, {})) if ours else errors.BadReply("x")
        # The root is the only one that says nothing more than that it failed.
        assert (reason_of(error) is Reason.FAILED) == (kind is errors.CallError), kind


def test_the_words_are_fixed_because_they_are_stored() -> None:
    words = """
        ok not_serving dormant unreachable connect_timeout first_byte_timeout idle_timeout
        total_timeout refused rate_limited overloaded failed interrupted bad_reply too_long
        no_receipt bad_receipt wrong_answer empty too_slow token_count reward_error
        reward_timeout not_finite out_of_range"""
    assert [str(reason) for reason in Reason] == words.split()
