from __future__ import annotations

import dataclasses

import pytest

import node.compat as bt
from node import Keypair, Peer
from node.compat.endpoint import as_peer
from node.errors import ConfigError

BOB = Keypair.from_uri("//Bob").ss58_address


def info(**changes: object) -> bt.AxonInfo:
    given = bt.AxonInfo(version=1, ip="1.2.3.4", port=8091, ip_type=4, hotkey=BOB, coldkey="")
    return dataclasses.replace(given, **changes)  # type: ignore[arg-type]


def test_a_peer_goes_there_and_back() -> None:
    for peer in (
        Peer(BOB, "1.2.3.4", 8091, protocols=("btauth", "synapse"), version=7),
        Peer(BOB, "::1", 8091, coldkey=Keypair.from_uri("//Alice").ss58_address),
    ):
        assert bt.AxonInfo.of(peer).to_peer() == peer
    assert bt.AxonInfo.of(peer).ip_type == 6


def test_what_it_speaks_is_left_open_where_nobody_said() -> None:
    assert as_peer(info()).protocols == ()


@pytest.mark.parametrize(
    ("changes", "serving"),
    [({}, True), ({"ip": "0.0.0.0"}, False), ({"port": 0}, False)],
)
def test_serving_needs_an_address_and_a_port(changes: dict[str, object], serving: bool) -> None:
    assert info(**changes).is_serving is serving


def test_it_is_written_as_the_sdk_writes_it() -> None:
    assert info().ip_str() == "/ipv4/1.2.3.4:8091"
    assert str(info()) == f"AxonInfo( /ipv4/1.2.3.4:8091, {BOB}, , 1 )"
    text = info(protocols=("btauth",)).to_string()
    assert "protocols" not in text
    assert bt.AxonInfo.from_string(text) == info()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ip": 1}', "null"])
def test_a_text_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not an AxonInfo"):
        bt.AxonInfo.from_string(text)


def test_it_can_be_changed_and_compared() -> None:
    first, second = info(), info()
    assert first == second
    second.port = 1
    assert first != second
    assert info(protocols=("btauth",)) == info()


def test_targets_of_many_kinds_are_peers() -> None:
    class Server:
        def info(self) -> bt.AxonInfo:
            return info()

    peer = Peer(BOB, "1.2.3.4", 8091, version=1)
    for target in (peer, info(), f"{BOB}@1.2.3.4:8091", Server()):
        assert (as_peer(target).hotkey, as_peer(target).port) == (BOB, 8091)


@pytest.mark.parametrize("target", [None, 4, object()])
def test_anything_else_is_none(target: object) -> None:
    with pytest.raises(ConfigError, match="is not an axon"):
        as_peer(target)


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="hotkey"):
        as_peer(info(hotkey="5nobody"))
