"""Fixtures for pytest, registered as a plugin: they are there wherever Ganglion is installed.

Nothing of the node is imported before a fixture is used, since pytest loads this for every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .clock import Clock
    from .network import TestNetwork

__all__ = ["ganglion_clock", "ganglion_network"]


@pytest.fixture
def ganglion_clock() -> Clock:
    """A `Clock`, for `clock=` of a network."""
    from .clock import Clock

    return Clock()


@pytest.fixture
def ganglion_network() -> Iterator[Callable[..., TestNetwork]]:
    """A function that makes a `TestNetwork`, from the same arguments, to enter with `async with`.

    A test that leaves one open fails. The fixture is a plain one, so any plugin that runs async
    tests will do.
    """
    from .network import TestNetwork

    made: list[TestNetwork] = []

    def make(*args: Any, **options: Any) -> TestNetwork:
        network = TestNetwork(*args, **options)
        made.append(network)
        return network

    yield make
    if any(network.is_open for network in made):
        pytest.fail("the test left a test network open; enter it with: async with")
