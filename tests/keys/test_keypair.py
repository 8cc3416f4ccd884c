from __future__ import annotations

import copy
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bittensor_core
import pytest

from node import errors
from node.keys import SCHEMES, Keypair, Secret

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "keys.json").read_text()
)
SEED = bytes(range(32))
PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"


def from_source(source: str) -> Keypair:
    scheme, rest = source.split(" ", 1)
    return (
        Keypair.from_uri(rest, scheme) if rest.startswith("//") else Keypair.from_seed(SEED, scheme)
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    private_key = bytes.fromhex(vector["private_key_hex"][2:])
    scheme = SCHEMES[1 - vector["crypto_type"]]
    for keypair in (from_source(vector["source"]), Keypair.from_private_key(private_key, scheme)):
        assert keypair.public_key.hex() == vector["public_key_hex"]
        assert keypair.ss58_address == vector["ss58"]
        assert keypair.scheme == scheme
        assert keypair.secret.private_key == private_key
        keypair.verify(b"hello", keypair.sign(b"hello"))


@pytest.mark.parametrize(
    ("scheme", "address"),
    [
        ("sr25519", "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV"),
        ("ed25519", "5DFJF7tY4bpbpcKPJcBTQaKuCDEPCpiz8TRjpmLeTtweqmXL"),
    ],
)
def test_mnemonic(scheme: str, address: str) -> None:
    keypair = Keypair.from_mnemonic(PHRASE, scheme)
    assert keypair.ss58_address == address
    assert keypair.secret.phrase == PHRASE
    assert keypair.secret.seed is not None
    assert Keypair.from_seed(keypair.secret.seed, scheme) == keypair
    assert Keypair.from_mnemonic(f"  {PHRASE.upper()}\n".replace(" ", "  "), scheme) == keypair


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_sdk_takes_our_signatures_and_we_take_its(scheme: str) -> None:
    ours = Keypair.from_seed(SEED, scheme)
    crypto_type = {"ed25519": 0, "sr25519": 1}[scheme]
    theirs = bittensor_core.Keypair.from_seed(SEED, crypto_type)
    assert theirs.ss58_address == ours.ss58_address
    assert bittensor_core.verify(b"m", ours.sign(b"m"), ours.ss58_address, crypto_type)
    ours.verify(b"m", bytes(theirs.sign(b"m")))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_generated_keys_are_new_and_come_back_from_their_phrase(scheme: str) -> None:
    first, second = Keypair.generate(scheme), Keypair.generate(scheme)
    assert first != second
    assert first.scheme == scheme
    assert first.secret.phrase is not None
    assert len(first.secret.phrase.split()) == 12
    assert Keypair.from_mnemonic(first.secret.phrase, scheme) == first


def test_uris() -> None:
    assert Keypair.from_uri(f"{PHRASE}//hard/soft///password") != Keypair.from_uri(PHRASE)
    assert Keypair.from_uri(PHRASE) == Keypair.from_mnemonic(PHRASE)
    assert Keypair.from_uri("0x" + SEED.hex()) == Keypair.from_seed(SEED)
    # A phrase that has been derived from would not give this key back.
    assert Keypair.from_uri(f"{PHRASE}//hard").secret.phrase is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Keypair.from_seed(SEED[:31]),
        lambda: Keypair.from_seed(SEED * 2),
        lambda: Keypair.from_seed(b""),
        lambda: Keypair.from_seed(SEED.hex()),  # type: ignore[arg-type]
        lambda: Keypair.from_seed(SEED[:31], "ed25519"),
        lambda: Keypair.from_mnemonic(PHRASE.replace("walk", "fit")),
        lambda: Keypair.from_mnemonic("sesame open"),
        lambda: Keypair.from_mnemonic(""),
        lambda: Keypair.from_uri(""),
        lambda: Keypair.from_uri("  "),
        lambda: Keypair.from_uri("sesame open//x"),
        lambda: Keypair.from_uri("//Alice/soft", "ed25519"),
        lambda: Keypair.from_private_key(SEED),
        lambda: Keypair.from_private_key(b"\xff" * 64),
        lambda: Keypair.from_private_key(SEED * 2, "ed25519"),
    ],
)
def test_bad_secrets_are_refused_and_not_quoted(make: Any) -> None:
    with pytest.raises(errors.InvalidSecret) as caught:
        make()
    text = str(caught.value)
    assert caught.value.__cause__ is None
    for secret in (SEED.hex(), PHRASE, "sesame", "Alice", "ffff"):
        assert secret not in text


@pytest.mark.parametrize(
    "make",
    [
        lambda: Keypair.generate("ecdsa"),
        lambda: Keypair.from_seed(SEED, "ecdsa"),
        lambda: Keypair.from_uri("//Alice", "SR25519"),
        lambda: Keypair(SEED, ""),
    ],
)
def test_unknown_schemes_are_named(make: Any) -> None:
    with pytest.raises(errors.WalletError, match="sr25519 or ed25519"):
        make()


def test_a_public_half_verifies_and_can_not_sign() -> None:
    alice = Keypair.from_uri("//Alice")
    public = Keypair.from_address(alice.ss58_address)
    assert (alice.can_sign, public.can_sign) == (True, False)
    public.verify(b"hello", alice.sign(b"hello"))
    with pytest.raises(errors.WalletError, match=alice.ss58_address):
        public.sign(b"hello")
    with pytest.raises(errors.WalletError, match="public half"):
        _ = public.secret
    assert not alice.public_half().can_sign
    other_prefix = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"
    assert Keypair.from_address(other_prefix).ss58_address == alice.ss58_address
    with pytest.raises(errors.InvalidAddress):
        Keypair.from_address("5Grw")
    with pytest.raises(errors.InvalidAddress):
        Keypair(SEED[:31])


def test_equality_is_by_scheme_and_key() -> None:
    one, two = Keypair.from_seed(SEED), Keypair.from_seed(SEED)
    assert one == two == one.public_half()
    assert len({one, two, one.public_half()}) == 1
    ed25519 = Keypair(one.public_key, "ed25519")
    assert one != ed25519
    assert one != one.ss58_address


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_secret_leaves_by_accident(scheme: str) -> None:
    keypair = Keypair.from_mnemonic(PHRASE, scheme)
    secret = keypair.secret
    assert repr(keypair) == f"<Keypair {keypair.ss58_address} {scheme}>"
    assert repr(secret) == "Secret()"
    assert f"{keypair}" == str(keypair) == repr(keypair)
    for thing in (keypair, keypair.public_half(), secret):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(thing)
    assert not hasattr(keypair, "__dict__")


def test_it_is_immutable_and_copies_are_itself() -> None:
    keypair = Keypair.from_seed(SEED)
    with pytest.raises(AttributeError, match="immutable"):
        keypair.public_key = bytes(32)
    with pytest.raises(AttributeError, match="immutable"):
        del keypair.scheme
    assert copy.copy(keypair) is keypair
    assert copy.deepcopy({"key": keypair})["key"] is keypair


@pytest.mark.parametrize("message", ["text", 5, bytearray(b"x"), None])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_only_bytes_are_signed(scheme: str, message: Any) -> None:
    with pytest.raises(TypeError, match="bytes"):
        Keypair.from_seed(SEED, scheme).sign(message)


def test_without_bittensor_core(monkeypatch: pytest.MonkeyPatch) -> None:
    signature = Keypair.from_seed(SEED).sign(b"hello")
    public = Keypair.from_seed(SEED).public_half()
    monkeypatch.setitem(sys.modules, "bittensor_core", None)
    ed25519 = Keypair.from_seed(SEED, "ed25519")
    ed25519.verify(b"hello", ed25519.sign(b"hello"))
    generated = Keypair.generate("ed25519")
    assert generated.secret.phrase is None
    assert generated.secret.seed is not None
    assert Keypair.from_seed(generated.secret.seed, "ed25519") == generated
    public.verify(b"hello", signature)
    needing_it: list[Callable[[], Keypair]] = [
        lambda: Keypair.generate(),
        lambda: Keypair.from_seed(SEED),
        lambda: Keypair.from_mnemonic(PHRASE, "ed25519"),
    ]
    for make in needing_it:
        with pytest.raises(errors.WalletError, match="bittensor-core"):
            make()


def test_secret_fields() -> None:
    secret = Secret(private_key=b"k", seed=b"s", phrase="p")
    assert (secret.private_key, secret.seed, secret.phrase) == (b"k", b"s", "p")
