from __future__ import annotations

from typing import Any

import pytest

from node.errors import ConfigError
from node.neuron.config import Config
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve
from node.neuron.shared_memory import shared_memory_of


def settings(*flags: str) -> Config:
    return resolve(build_parser("miner", prog="p"), ["--netuid", "8", *flags], {})


def memory_of(*flags: str) -> Any:
    return shared_memory_of(settings(*flags))


def test_none_is_shared_unless_one_is_named() -> None:
    assert memory_of() is None
    assert memory_of("--subtensor.network", "redis://h") is None


@pytest.mark.parametrize(
    ("flags", "name", "lost_s"),
    [
        (["--axon.shared_memory", "redis://a/1"], "redis://a/1", 600.0),
        (["--axon.shared_memory", "redis://a", "--axon.max_stale_s", "60"], "redis://a", 60.0),
        (["--axon.shared_memory", "redis://a", "--axon.refuse_unshared"], "redis://a", 0.0),
        (["--axon.shared_memory", "auto", "--subtensor.network", "redis://b?prefix=x"],
         "redis://b?prefix=x", 600.0),
        (["--axon.shared_memory", "auto", "--subtensor.chain_endpoint", "unix:///r.sock"],
         "unix:///r.sock", 600.0),
    ],
)  # fmt: skip
def test_one_that_is_named(flags: list[str], name: str, lost_s: float) -> None:
    memory = memory_of(*flags)
    assert memory.name == name
    assert memory._max_lost_s == lost_s


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--axon.shared_memory", "auto"], "is the Redis of the network, and local has none"),
        (["--axon.shared_memory", "local"], "is no shared memory"),
        (["--axon.shared_memory", "redis://:hunter2@h:x"], "is no address of a Redis"),
    ],
)
def test_one_that_can_not_be(flags: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        memory_of(*flags)
    assert "hunter2" not in str(caught.value)


def test_its_password_is_not_printed() -> None:
    shown = settings("--axon.shared_memory", "redis://me:hunter2@h/0").to_yaml()
    assert "redis://me:***@h/0" in shown
    assert "hunter2" not in shown
