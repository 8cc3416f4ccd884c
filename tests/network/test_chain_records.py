from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import Peer, errors
from node.network.chain_address import shown_name
from node.network.chain_records import is_listed, parse_hyperparameters, parse_subnet
from node.network.hyperparameters import Hyperparameters

from .conftest import key

ALICE, BOB = key("Alice").ss58_address, key("Bob").ss58_address
RAW_IP = int(ipaddress.IPv4Address("8.8.8.8"))
AXON = {
    "block": 5, "version": 2, "ip": RAW_IP, "port": 80, "ip_type": 4, "protocol": 4,
    "placeholder1": 0, "placeholder2": 0,
}  # fmt: skip


def graph(**changes: Any) -> dict[str, Any]:
    return {
        "block": 1000,
        "hotkeys": [ALICE, BOB],
        "coldkeys": [BOB, ALICE],
        "axons": [AXON, {**AXON, "ip": 0}],
        "total_stake": [5 * 10**9, 0],
        "validator_permit": [True, False],
        "incentives": [0, 65535],
        "last_update": [7, 8],
        **changes,
    }


def test_a_subnet_is_read() -> None:
    snapshot, faults = parse_subnet(graph(), {0: {0: 0.25, 1: 0.75}, 1: {}, 9: {0: 1.0}})
    assert faults == []
    assert (snapshot.block, snapshot.hotkeys, snapshot.coldkeys) == (
        1000,
        [ALICE, BOB],
        [BOB, ALICE],
    )
    assert (snapshot.stake, snapshot.validator_permit) == ([5.0, 0.0], [True, False])
    assert (snapshot.incentive, snapshot.last_update) == ([0.0, 1.0], [7, 8])
    assert snapshot.axons[0] == Peer(ALICE, "8.8.8.8", 80, coldkey=BOB, version=2)
    assert snapshot.axons[1] == Peer(BOB, "0.0.0.0", 0, coldkey=ALICE)
    assert set(snapshot.votes) == {0}
    assert (snapshot.votes[0].uids, snapshot.votes[0].weights) == ((0, 1), (0.25, 0.75))


@pytest.mark.parametrize(
    ("axon", "fault"),
    [
        ({"ip_type": 0}, "the address type 0 is not 4 or 6"),
        ({"ip_type": None}, "the address type None is not 4 or 6"),
        ({"ip": 2**32}, "4294967296"),
        ({"ip": 2**128, "ip_type": 6}, "IPv6"),
        ({"ip": -5}, "-5"),
        ({"ip": "8.8.8.8"}, "'8.8.8.8' is not a number"),
        ({"ip": float("inf")}, "inf is not a number"),
        ({"port": 70_000}, "the port 70000"),
        ({"port": "80"}, "the port '80'"),
        ({"port": True}, "the port True"),
        ({"version": 2**40}, "the version"),
        ({"version": -1}, "the version -1"),
    ],
)
def test_an_axon_of_no_use_is_left_out_alone(axon: dict[str, Any], fault: str) -> None:
    axons = [{**AXON, **axon}, AXON]
    snapshot, faults = parse_subnet(graph(axons=axons), {})
    assert [peer.is_serving for peer in snapshot.axons] == [False, True]
    ((uid, text),) = faults
    assert uid == 0
    assert text.startswith("its axon can't be used")
    assert fault in text
    assert snapshot.hotkeys == [ALICE, BOB]


@pytest.mark.parametrize(
    "axon", [None, 7, "x", {}, [], {"ip": RAW_IP}, {"port": 80}, {**AXON, "port": 0}]
)
def test_an_axon_that_says_nothing_is_no_fault(axon: Any) -> None:
    snapshot, faults = parse_subnet(graph(axons=[axon, AXON]), {})
    assert faults == []
    assert [peer.is_serving for peer in snapshot.axons] == [False, True]


@pytest.mark.parametrize("hotkey", ["", "x", None, 7, ALICE[:-1], b"x", {}])
def test_a_hotkey_that_is_none_leaves_a_vacant_uid(hotkey: Any) -> None:
    snapshot, faults = parse_subnet(graph(hotkeys=[hotkey, BOB]), {})
    assert faults == [(0, "its hotkey is not an address")]
    assert (snapshot.hotkeys[1], len(snapshot.hotkeys), len(snapshot.incentive)) == (BOB, 2, 2)
    assert snapshot.uid_by_key == {key("Bob").public_key: 1}


def test_the_last_uid_keeps_its_place_too() -> None:
    snapshot, _ = parse_subnet(graph(hotkeys=[ALICE, "x"]), {})
    assert len(snapshot.hotkeys) == len(snapshot.incentive) == 2


def test_short_and_missing_columns_are_as_nothing() -> None:
    snapshot, faults = parse_subnet({"block": 1, "hotkeys": [ALICE, BOB], "axons": [AXON]}, {})
    assert faults == []
    assert [peer.is_serving for peer in snapshot.axons] == [True, False]
    assert (snapshot.stake, snapshot.coldkeys) == ([0.0, 0.0], ["", ""])


@pytest.mark.parametrize("value", [-1, True, 1.5, "7", None, [], {}, 2**64, 10**400])
def test_numbers_that_are_none_count_as_0(value: Any) -> None:
    snapshot, _ = parse_subnet(
        graph(total_stake=[value], incentives=[value], last_update=[value], block=7), {}
    )
    assert (snapshot.stake[0], snapshot.incentive[0], snapshot.last_update[0]) == (0.0, 0.0, 0)


@pytest.mark.parametrize("validator_permit", [1, "yes", None])
def test_a_permit_is_true_or_none(validator_permit: Any) -> None:
    snapshot, _ = parse_subnet(graph(validator_permit=[validator_permit, True]), {})
    assert snapshot.validator_permit == [False, True]


@pytest.mark.parametrize("bad", [{"hotkeys": None}, {"hotkeys": "x"}, {"block": None}])
def test_what_is_no_metagraph_is_told(bad: dict[str, Any]) -> None:
    with pytest.raises(errors.NetworkError, match="not a metagraph"):
        parse_subnet(graph(**bad), {})
    with pytest.raises(errors.NetworkError, match="not a metagraph"):
        parse_subnet(graph(hotkeys=[ALICE] * (2**16 + 1)), {})


def test_addresses_of_some_networks_only_are_listed_where_allowed() -> None:
    inner = {**AXON, "ip": int(ipaddress.IPv4Address("192.168.1.1"))}
    for allowed in (False, True):
        snapshot, faults = parse_subnet(graph(axons=[inner, AXON]), {}, allow_private=allowed)
        assert snapshot.axons[0].is_serving is allowed
        assert faults == []


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
COLUMNS = st.sampled_from(sorted(graph()))
AXONS = st.dictionaries(st.sampled_from(sorted(AXON)), ANYTHING)


@given(st.dictionaries(COLUMNS, ANYTHING), st.lists(AXONS, max_size=2))
def test_no_record_breaks_the_reading(changes: dict[str, Any], axons: list[Any]) -> None:
    whole = graph(axons=[{**AXON, **axon} for axon in axons])
    try:
        snapshot, _ = parse_subnet({**whole, **changes}, {})
    except errors.NetworkError:
        return
    assert len(snapshot.axons) == len(snapshot.hotkeys) == len(snapshot.incentive)


# Hyperparameters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, Hyperparameters()),
        (
            {
                "tempo": 99, "weights_rate_limit": 100, "min_allowed_weights": 8,
                "max_weights_limit": 455, "commit_reveal_weights_enabled": True,
            },
            Hyperparameters(99, 100, 8, 455 / 65535, True),
        ),
        (
            {"max_weights_limit": 0, "min_allowed_weights": 0},
            Hyperparameters(max_weight_limit=1 / 65535),
        ),
        ({"max_weights_limit": 10**9, "tempo": -1}, Hyperparameters()),
        ({"tempo": "x", "commit_reveal_weights_enabled": 1}, Hyperparameters()),
    ],
)  # fmt: skip
def test_hyperparameters(rules: dict[str, Any], expected: Hyperparameters) -> None:
    assert parse_hyperparameters(rules) == expected


# What is there already --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axon", "peer", "expected"),
    [
        (AXON, Peer(ALICE, "8.8.8.8", 80, version=2), True),
        (AXON, Peer(ALICE, "8.8.8.8", 81, version=2), False),
        (AXON, Peer(ALICE, "8.8.8.9", 80, version=2), False),
        (AXON, Peer(ALICE, "8.8.8.8", 80, version=3), False),
        ({**AXON, "protocol": 0}, Peer(ALICE, "8.8.8.8", 80, version=2), False),
        ({**AXON, "ip_type": 6}, Peer(ALICE, "8.8.8.8", 80, version=2), False),
        (None, Peer(ALICE, "8.8.8.8", 80), False),
        (None, Peer(ALICE, "0.0.0.0", 0), True),
        (AXON, Peer(ALICE, "8.8.8.8", 0), False),
        ({**AXON, "ip": 0, "port": 1}, Peer(ALICE, "0.0.0.0", 0), True),
    ],
)
def test_what_the_chain_lists_already(
    axon: dict[str, Any] | None, peer: Peer, expected: bool
) -> None:
    assert is_listed(axon, peer, 4) is expected


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("finney", "finney"),
        ("ws://[::1]:9944", "ws://[::1]:9944"),
        ("wss://HOST/x?key=hunter2", "wss://host"),
        ("wss://u:hunter2@host:443", "wss://host:443"),
    ],
)
def test_an_address_is_shown_without_its_secrets(name: str, shown: str) -> None:
    assert shown_name(name) == shown


@pytest.mark.parametrize(
    "name",
    ["", "devnet", "ws://", "ws:host", "wss://:443", "ws://h:0", "ws://hunter2:x", "http://h", "ws://h#x",
     "ws://[hunter2"],
)  # fmt: skip
def test_other_addresses_are_refused_without_repeating_them(name: str) -> None:
    with pytest.raises(errors.ConfigError, match="use finney, test, archive") as caught:
        shown_name(name)
    assert "hunter2" not in str(caught.value)
