"""Every decryption here costs a second or two, so there is one per writer and no more."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bittensor_core
import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from node import errors
from node.keys import Keypair
from node.keys.keyfile import encode_keyfile, parse_keyfile
from node.keys.sealing import is_sealed, seal, unseal

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "keyfiles.json").read_text()
)
PASSWORD = "testpass"


def encrypted_file(writer: str, key: str) -> tuple[bytes, dict[str, Any]]:
    for file in VECTORS[writer]["files"]:
        if file["key"] == key and (file.get("encrypted") or "encrypted_b64" in file):
            return base64.b64decode(file.get("encrypted_b64") or file["bytes_b64"]), file
    raise LookupError(key)


@pytest.mark.parametrize(
    ("writer", "key", "address"),
    [
        ("bittensor_11_3", "ed_seed", "5C9TqVEs5Q51zUdjvp6tSsjHAfLseJKq1Dq6ULcuSLqEuRSf"),
        ("bittensor_wallet_4_1_1", "sr_seed", "5HB7kpn92RS7uF9uWn8bXSvPVKFPg8kPUFDd5sbveGjX6Dbi"),
        ("bittensor_7_4_0", "dev_mnemonic", "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV"),
    ],
)
def test_files_of_every_writer_open(writer: str, key: str, address: str) -> None:
    data, file = encrypted_file(writer, key)
    assert is_sealed(data)
    plain = unseal(data, PASSWORD)
    assert plain.decode() == file["plaintext"]
    keypair = parse_keyfile(plain)
    assert keypair.ss58_address == address
    keypair.verify(b"hello", keypair.sign(b"hello"))


def test_what_we_seal_the_sdk_opens_and_a_wrong_password_does_not() -> None:
    plain = encode_keyfile(Keypair.from_uri("//Alice"))
    sealed = seal(plain, PASSWORD)
    assert sealed.startswith(b"$NACL")
    assert b"privateKey" not in sealed
    assert bytes(bittensor_core.decrypt_keyfile_data(sealed, PASSWORD)) == plain
    with pytest.raises(errors.WrongPassword):
        unseal(sealed, PASSWORD + "x")


@pytest.mark.parametrize("data", [b"$NACL", b"$NACL" + bytes(24), b"$NACL" + bytes(39)])
def test_a_file_cut_short_is_corrupt_whatever_the_password(data: bytes) -> None:
    assert is_sealed(data)
    with pytest.raises(errors.CorruptKeyfile, match="cut short"):
        unseal(data, PASSWORD)


def ansible_vault(plain: bytes) -> bytes:
    """A vault as ansible writes it: AES-256-CTR and HMAC-SHA256, PBKDF2 with 10,000 rounds."""
    salt = bytes(range(32))
    derived = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 10_000, 80)
    padder = padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(derived[:32]), modes.CTR(derived[64:])).encryptor()
    text = cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
    mac = hmac.digest(derived[32:64], text, "sha256")
    body = "\n".join(part.hex() for part in (salt, mac, text)).encode().hex()
    return f"$ANSIBLE_VAULT;1.1;AES256\n{body}\n".encode()


def fernet_token(plain: bytes) -> bytes:
    """A token under the key of `testpass`, which 10,000,000 rounds of PBKDF2 gave once."""
    key = "bbd9c31fdb22cf2186a99dbe3ec589f0927a4f1e91257cfcfc5f533c78a1dc6a"
    return Fernet(base64.urlsafe_b64encode(bytes.fromhex(key))).encrypt(plain)


@pytest.mark.parametrize("writer", [ansible_vault, fernet_token])
def test_older_formats_open(writer: Callable[[bytes], bytes]) -> None:
    plain = encode_keyfile(Keypair.from_uri("//Alice"))
    sealed = writer(plain)
    assert is_sealed(sealed)
    assert unseal(sealed, PASSWORD) == plain


def test_what_is_not_sealed() -> None:
    assert not is_sealed(b'{"secretSeed": "0x00"}')
    assert not is_sealed(b"")
    with pytest.raises(errors.WrongPassword):
        unseal(b"$ANSIBLE_VAULT;1.1;AES256\n3132", PASSWORD)
    with pytest.raises(errors.CorruptKeyfile, match="known format"):
        unseal(b"plain", PASSWORD)


def test_an_empty_password_encrypts_nothing() -> None:
    with pytest.raises(errors.WalletError, match="empty"):
        seal(b"{}", "")


def test_short_memory_is_neither_a_wrong_password_nor_a_corrupt_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Core:
        KeyfileError = bittensor_core.KeyfileError
        WrongPasswordError = bittensor_core.WrongPasswordError

        @staticmethod
        def fail(*_: Any) -> bytes:
            raise bittensor_core.KeyfileError("failed to derive NaCl key")

        encrypt_keyfile_data = decrypt_keyfile_data = fail

    monkeypatch.setitem(sys.modules, "bittensor_core", Core)
    calls: list[Callable[[], bytes]] = [
        lambda: seal(b"{}", "x"),
        lambda: unseal(b"$NACL" + bytes(60), "x"),
    ]
    for call in calls:
        with pytest.raises(errors.WalletError, match="512 MiB") as caught:
            call()
        assert type(caught.value) is errors.WalletError


def test_without_bittensor_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bittensor_core", None)
    with pytest.raises(errors.WalletError, match="bittensor-core"):
        unseal(b"$NACL" + bytes(60), "x")
