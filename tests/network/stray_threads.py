"""A net under tests of what has threads; a test module that imports the fixture uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

__all__ = ["no_stray_threads"]

PATIENCE_S = 20


@pytest.fixture(autouse=True)
def no_stray_threads() -> Iterator[None]:
    """Fail a test that leaves a thread."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + PATIENCE_S
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < end, f"threads outlived the test: {left}"
        time.sleep(0.01)
