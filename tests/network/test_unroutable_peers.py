"""Addresses that others can't reach, through the door of each network (`routability`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node import Peer, errors, open_network

from .conftest import key
from .fake_chain import fake_chain

ALICE = key("Alice")
NETUID = 8
PRIVATE = ["127.0.0.1", "10.0.0.5", "169.254.169.254", "192.0.2.7", "fd00::1"]
Open = Callable[[bool], Any]


@pytest.fixture(params=["redis", "chain"])
def opened(request: pytest.FixtureRequest) -> Any:
    """Opens one registry, in which Alice is registered, with or without private addresses."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        with open_network(url, True) as network:
            network.register(NETUID, ALICE)
        yield lambda private: open_network(url, private)
        return
    pytest.importorskip("bittensor")
    with fake_chain() as chain:
        chain.register(NETUID, ALICE.ss58_address)
        yield lambda private: open_network(chain.url, private)


def peer(ip: str, port: int = 8091) -> Peer:
    return Peer(ALICE.ss58_address, ip, port)


@pytest.mark.parametrize("ip", PRIVATE)
def test_one_is_not_published(opened: Open, ip: str) -> None:
    with opened(False) as network:
        with pytest.raises(errors.ConfigError, match=r"--axon\.external_ip"):
            network.serve(NETUID, ALICE, peer(ip))
        network.serve(NETUID, ALICE, peer("8.8.8.8"))
        assert network.metagraph(NETUID).axons[0].endpoint == "8.8.8.8:8091"


# Not loopback, which the chain itself refuses.
@pytest.mark.parametrize("ip", ["10.0.0.5", "192.168.1.1"])
def test_one_that_a_record_names_is_listed_only_where_that_is_allowed(
    opened: Open, ip: str
) -> None:
    with opened(True) as network, opened(False) as careful:
        network.serve(NETUID, ALICE, peer(ip))
        assert network.metagraph(NETUID).axons[0].endpoint == f"{ip}:8091"
        told = careful.metagraph(NETUID).axons[0]
        assert (told.is_serving, told.hotkey) == (False, ALICE.ss58_address)
        assert ip not in told.endpoint
