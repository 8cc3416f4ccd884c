from __future__ import annotations

import copy
import io
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

import node
import node.compat as bt
from node.compat.keyring import as_signer, as_wallet
from node.errors import InvalidAddress, InvalidSecret, WalletError, WalletNotFound

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ALICE_KEY = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"


@pytest.fixture
def alice() -> bt.Keypair:
    return bt.Keypair.create_from_uri("//Alice")


# Keypair ----------------------------------------------------------------------------------------


def test_a_keypair_has_the_old_attributes(alice: bt.Keypair) -> None:
    assert (alice.ss58_address, alice.public_key.hex()) == (ALICE, ALICE_KEY)
    assert (alice.ss58_format, alice.crypto_type) == (42, 1)
    assert isinstance(alice.native, node.Keypair)
    assert repr(alice) == f"<Keypair (address={ALICE})>"


@pytest.mark.parametrize(
    "keypair",
    [
        bt.Keypair(ss58_address=ALICE),
        bt.Keypair(ALICE),
        bt.Keypair(public_key=ALICE_KEY),
        bt.Keypair(public_key="0x" + ALICE_KEY),
        bt.Keypair(public_key=bytes.fromhex(ALICE_KEY), ss58_format=42),
        bt.Keypair.of(node.Keypair.from_address(ALICE)),
    ],
)
def test_a_public_half_is_made_in_many_ways_and_can_not_sign(
    keypair: bt.Keypair, alice: bt.Keypair
) -> None:
    assert keypair == alice
    assert hash(keypair) == hash(alice)
    with pytest.raises(WalletError):
        keypair.sign("x")


def test_secrets_make_keypairs() -> None:
    seed = bytes(range(32))
    by_seed = bt.Keypair.create_from_seed("0x" + seed.hex())
    assert by_seed == bt.Keypair.create_from_seed(seed) == bt.Keypair(seed_hex=seed.hex())
    assert by_seed.verify("x", by_seed.sign("x"))
    phrase = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
    by_phrase = bt.Keypair.create_from_mnemonic(phrase)
    private_key = by_phrase.native.secret.private_key
    assert bt.Keypair.create_from_private_key(private_key.hex()) == by_phrase
    assert bt.Keypair.create_from_uri("//Alice", crypto_type=0).crypto_type == 0


def test_nothing_or_nonsense_makes_no_keypair() -> None:
    with pytest.raises(ValueError, match="needs an address"):
        bt.Keypair()
    with pytest.raises(InvalidAddress):
        bt.Keypair("nope")
    with pytest.raises(InvalidSecret):
        bt.Keypair.create_from_seed(b"short")
    with pytest.raises(ValueError, match="crypto type is 1"):
        bt.Keypair(ALICE, crypto_type=2)


@pytest.mark.parametrize(
    ("signed", "same"), [("hello", b"hello"), ("0x68656c6c6f", "hello"), (b"\x00\xff", "0x00ff")]
)
def test_text_bytes_and_hex_are_signed_alike(
    alice: bt.Keypair, signed: bytes | str, same: bytes | str
) -> None:
    signature = alice.sign(signed)
    assert (type(signature), len(signature)) == (bytes, 64)
    for text in (signed, same):
        assert alice.verify(text, signature) is True
        assert alice.verify(text, "0x" + signature.hex()) is True
    assert alice.verify("other", signature) is False
    assert bt.Keypair.create_from_uri("//Bob").verify(signed, signature) is False


@pytest.mark.parametrize("signature", [b"", "0x12", "zz", "0xzz", bytes(64), bytes(63)])
def test_what_is_no_signature_is_a_wrong_one(alice: bt.Keypair, signature: bytes | str) -> None:
    assert alice.verify("x", signature) is False


def test_a_signature_over_wrapped_bytes_does_not_hold(alice: bt.Keypair) -> None:
    assert alice.verify("x", alice.sign("<Bytes>x</Bytes>")) is False


def test_a_keypair_is_copied_by_reference_and_never_pickled(alice: bt.Keypair) -> None:
    assert copy.deepcopy(alice) is alice
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(alice)


# Wallet -----------------------------------------------------------------------------------------


def test_a_wallet_is_made_once(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    wallet = bt.wallet(name="cold", hotkey="hot", path=str(home / "w"))
    assert wallet.create_if_non_existent(coldkey_use_password=False) is wallet
    address = wallet.hotkey.ss58_address
    again = bt.Wallet("cold", "hot", str(home / "w")).create_if_non_existent(False, False)
    assert again.hotkey.ss58_address == address
    assert again.coldkeypub.ss58_address == wallet.coldkey.ss58_address
    assert (wallet.name, wallet.hotkey_str, wallet.path) == ("cold", "hot", str(home / "w"))
    assert (home / "w" / "cold" / "hotkeys" / "hot").is_file()
    assert caplog.records == []


def test_the_getters_are_the_keys(home: Path) -> None:
    wallet = bt.wallet().create(coldkey_use_password=False)
    assert wallet.get_hotkey() == wallet.unlock_hotkey() == wallet.hotkeypub == wallet.hotkey
    assert wallet.get_coldkey() == wallet.unlock_coldkey() == wallet.coldkey
    assert wallet.get_coldkeypub() == wallet.coldkeypub == wallet.coldkey
    assert wallet.hotkey.verify("x", wallet.hotkey.sign("x"))


def test_a_hotkey_that_is_missing_is_made_beside_a_coldkey(home: Path) -> None:
    first = bt.wallet(hotkey="one").create_if_non_existent(False)
    second = bt.wallet(hotkey="two").create_if_non_existent(False)
    assert first.coldkeypub == second.coldkeypub
    assert first.hotkey != second.hotkey


def test_a_coldkey_is_encrypted_by_what_is_given_or_the_environment_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = bt.wallet("given").create_if_non_existent(coldkey_password="a", hotkey_password="b")
    monkeypatch.setenv("GANGLION_WALLET_PASSWORD", "c")
    found = bt.wallet("found").create_if_non_existent()
    for wallet in (given, found):
        assert wallet.native.is_encrypted(wallet.native.coldkey_path)
    assert given.native.is_encrypted(given.native.hotkey_path)
    assert not found.native.is_encrypted(found.native.hotkey_path)


def test_without_anybody_to_ask_it_is_plain_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    wallet = bt.wallet().create_if_non_existent()
    assert not wallet.native.is_encrypted(wallet.native.coldkey_path)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "without a password" in caplog.text


def test_two_passwords_that_differ_write_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    typed = iter(["one", "two"])
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    wallet = bt.wallet()
    with pytest.raises(WalletError, match="differ"):
        wallet.create_if_non_existent()
    assert not wallet.native.has_coldkey


def test_a_config_names_the_wallet_and_arguments_win(home: Path) -> None:
    config = bt.config()
    config.wallet.name, config.wallet.hotkey = "a", "b"
    config.wallet.path = str(home / "x")
    wallet = bt.wallet(config=config)
    assert (wallet.name, wallet.hotkey_str, wallet.path) == ("a", "b", str(home / "x"))
    assert bt.wallet(name="c", config=config).name == "c"
    partial = bt.wallet(config=bt.Config(default={"wallet": {"name": "z"}}))
    assert (partial.hotkey_str, partial.path) == ("default", str(home / ".bittensor" / "wallets"))


def test_the_environment_names_the_default_wallet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BT_WALLET_HOTKEY", "from.env")
    assert bt.wallet().hotkey_str == "from.env"
    assert bt.wallet(hotkey="given").hotkey_str == "given"


def test_a_wallet_that_is_not_there_says_how_to_make_one() -> None:
    with pytest.raises(WalletNotFound, match="ganglion wallet new"):
        bt.wallet().hotkey  # noqa: B018


def test_a_wallet_shows_its_names_only(home: Path) -> None:
    wallet = bt.wallet().create_if_non_existent(False)
    path = home / ".bittensor" / "wallets"
    assert str(wallet) == f"Wallet (Name: 'default', Hotkey: 'default', Path: '{path}')"
    assert repr(wallet) == f"<{wallet}>"
    assert copy.deepcopy(wallet).hotkey == wallet.hotkey


def test_any_wallet_or_key_signs(home: Path) -> None:
    wallet = bt.wallet().create_if_non_existent(False)
    forms: list[Any] = [wallet, wallet.native, wallet.hotkey, wallet.hotkey.native]
    forms.append(bt.Wallet.of(wallet.native))
    for form in forms:
        assert as_signer(form).ss58_address == wallet.hotkey.ss58_address
    assert as_wallet(wallet) is wallet.native
    with pytest.raises(TypeError, match="not str"):
        as_signer("default")
    with pytest.raises(WalletError):
        as_signer(bt.Keypair(ALICE))
