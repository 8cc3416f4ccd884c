"""The replay memory with a tag: what tells requests apart, and what still collides."""

from __future__ import annotations

import pytest

from node.errors import ReplayedRequest
from node.wire import ReplayGuard

NOW = 1_700_000_000_000_000_000
KEY, OTHER = b"k" * 32, b"o" * 32


def test_a_nonce_is_taken_once_under_each_tag() -> None:
    guard = ReplayGuard()
    for key, tag in ((KEY, b"a"), (KEY, b"b"), (OTHER, b"a"), (KEY, b"")):
        guard.check_and_store(key, NOW, now_ns=NOW, tag=tag)
        with pytest.raises(ReplayedRequest):
            guard.check_and_store(key, NOW, now_ns=NOW, tag=tag)
    assert len(guard) == 4


def test_no_tag_is_the_empty_tag() -> None:
    guard = ReplayGuard()
    guard.check_and_store(KEY, NOW, now_ns=NOW)
    with pytest.raises(ReplayedRequest):
        guard.check_and_store(KEY, NOW, now_ns=NOW, tag=b"")


def test_tags_are_dropped_with_their_nonces() -> None:
    guard = ReplayGuard(window_s=15)
    for index in range(100):
        guard.check_and_store(KEY, NOW, now_ns=NOW, tag=str(index).encode())
    later = NOW + 20_000_000_000
    guard.check_and_store(KEY, later, now_ns=later)
    assert len(guard) == 1
