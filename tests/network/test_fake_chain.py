"""Whether the stand-in for the chain can be trusted as far as it goes.

The bytes here are not the stand-in's own: they were made from the metadata of Bittensor's mainnet
with the codec of the official SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node import Keypair
from tests.network.fake_chain.chain import Chain
from tests.network.fake_chain.extrinsic import Invalid, read_extrinsic
from tests.network.fake_chain.scale import compact, read_compact

from .conftest import key

pytest.importorskip("bittensor")

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ALICE_KEY = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"
SUBTENSOR = "658faa385070e074c85bf6b568cf0555"
AXON: dict[str, int] = {
    "version": 1, "ip": 2**31, "port": 80, "ip_type": 4, "protocol": 4, "placeholder1": 0,
    "placeholder2": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain()


@pytest.mark.parametrize(
    ("module", "name", "keys", "expected"),
    [
        ("SubtensorModule", "Uids", [8, ALICE],
         f"{SUBTENSOR}aab1b4e78e1ea8305462ee53b3686dc80800de1e86a9a8c739864cf3cc5ec2bea59f{ALICE_KEY}"),
        ("SubtensorModule", "Axons", [8, ALICE],
         f"{SUBTENSOR}b4e0c7b1d5f74994fcd58c28ab601fec0800de1e86a9a8c739864cf3cc5ec2bea59f{ALICE_KEY}"),
        ("SubtensorModule", "Weights", [8, 3],
         f"{SUBTENSOR}a1e7036061f484bc3048a64b64e35ec408000300"),
        ("SubtensorModule", "SubnetworkN", [8], f"{SUBTENSOR}a1048e9d244171852dfe8db314dc68ca0800"),
        ("System", "Events", [],
         "26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7"),
    ],
)  # fmt: skip
def test_storage_is_where_the_chain_has_it(
    chain: Chain, module: str, name: str, keys: list[Any], expected: str
) -> None:
    assert bytes(chain.codec.storage_key(module, name, keys)).hex() == expected


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("serve_axon", {"netuid": 8, **AXON},
         "070408000100000000000080000000000000000000000000500004040000"),
        ("set_mechanism_weights",
         {"netuid": 8, "mecid": 0, "dests": [0, 1], "weights": [1, 65535], "version_key": 7},
         "07770800000800000100080100ffff0700000000000000"),
        ("commit_timelocked_mechanism_weights",
         {"netuid": 8, "mecid": 0, "commit": b"abc", "reveal_round": 5, "commit_reveal_version": 4},
         "07760800000c61626305000000000000000400"),
    ],
)  # fmt: skip
def test_calls_are_the_chains(
    chain: Chain, name: str, arguments: dict[str, Any], expected: str
) -> None:
    assert bytes(chain.codec.compose_call("SubtensorModule", name, arguments)).hex() == expected


def test_values_are_the_chains(chain: Chain) -> None:
    axon = chain._encode("SubtensorModule", "Axons", {"block": 5, **AXON})
    assert axon.hex() == "05000000000000000100000000000080000000000000000000000000500004040000"


def test_signed_extensions_are_the_chains(chain: Chain) -> None:
    assert list(chain.codec.signed_extension_identifiers()) == [
        "CheckNonZeroSender", "CheckSpecVersion", "CheckTxVersion", "CheckGenesis",
        "CheckMortality", "CheckNonce", "CheckWeight", "ChargeTransactionPayment",
        "SudoTransactionExtension", "CheckShieldedTxValidity", "SubtensorTransactionExtension",
        "DrandPriority", "CheckMetadataHash",
    ]  # fmt: skip


# What a node takes -------------------------------------------------------------------------------


@pytest.fixture
def signed(chain: Chain) -> Callable[..., bytes]:
    """Makes an extrinsic with the SDK's codec."""

    def make(keypair: Keypair, nonce: int = 0, birth: int | None = None, **changes: Any) -> bytes:
        call = bytes(
            chain.codec.compose_call("SubtensorModule", "serve_axon", {"netuid": 8, **AXON})
        )
        start = chain.head if birth is None else birth
        era = {"period": 128, "current": start}
        parts: dict[str, Any] = {"era": era, "nonce": nonce, "tip": 0, "tip_asset_id": None}
        hashes = {
            "genesis_hash": changes.get("genesis_hash", chain.hash_at(0)),
            "era_block_hash": chain.hash_at(start),
        }
        payload = bytes(chain.codec.signature_payload(call, **parts, **hashes, metadata_hash=None))
        data, _ = chain.codec.encode_signed_extrinsic(
            call,
            public_key=keypair.public_key,
            signature=changes.get("signer", keypair).sign(payload),
            signature_version=1 if keypair.scheme == "sr25519" else 0,
            metadata_hash_enabled=False,
            **parts,
        )
        return bytes(data)

    return make


@pytest.mark.parametrize("scheme", ["sr25519", "ed25519"])
def test_a_signed_extrinsic_is_taken(
    chain: Chain, signed: Callable[..., bytes], scheme: str
) -> None:
    alice = key("Alice", scheme)
    extrinsic = read_extrinsic(signed(alice, 3), chain.head, chain.hash_at)
    assert (extrinsic.hotkey, extrinsic.scheme, extrinsic.nonce) == (alice.ss58_address, scheme, 3)


def test_what_was_signed_for_another_time_chain_or_key_is_not(
    chain: Chain, signed: Callable[..., bytes]
) -> None:
    alice = key("Alice")
    good = signed(alice)
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    for data, reason in (
        (flipped, "bad signature"),
        (signed(alice, signer=key("Bob")), "bad signature"),
        (signed(alice, genesis_hash=bytes(32)), "bad signature"),
        (signed(alice, birth=chain.head - 256), "bad signature"),
        (good + b"\0", "malformed"),
    ):
        with pytest.raises(Invalid, match=reason):
            read_extrinsic(data, chain.head, chain.hash_at)


def test_a_nonce_is_taken_once_and_in_order(signed: Callable[..., bytes], chain: Chain) -> None:
    charlie = key("Charlie")
    with pytest.raises(Invalid, match="outdated"):
        chain.submit(signed(charlie, 1))
    chain.submit(signed(charlie, 0))
    with pytest.raises(Invalid, match="outdated"):
        chain.submit(signed(charlie, 0))


@pytest.mark.parametrize("number", [0, 63, 64, 2**14 - 1, 2**14, 2**30 - 1])
def test_compact_numbers_are_read_back(number: int) -> None:
    data = b"\xff" + compact(number)
    assert read_compact(data, 1) == (number, len(data))
    with pytest.raises(ValueError, match="too large"):
        compact(2**30)
