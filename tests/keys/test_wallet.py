from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bittensor_core
import pytest

from node import errors
from node.keys import SCHEMES, Keypair, Wallet, sealing, signer_of
from node.keys import passwords as passwords_module
from node.keys.keyfile import encode_keyfile
from node.keys.storage import publish

ALICE, BOB = Keypair.from_uri("//Alice"), Keypair.from_uri("//Bob")


@pytest.fixture
def quick_seal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Encryption that costs nothing, for what is not about encryption; lists what was opened."""
    opened: list[str] = []

    def encrypt(data: bytes, password: str) -> bytes:
        return b"$NACL" + password.encode().ljust(40) + data[::-1]

    def decrypt(data: bytes, password: str) -> bytes:
        opened.append(password)
        if data[5:45].strip() != password.encode():
            raise bittensor_core.WrongPasswordError("wrong password")
        return data[45:][::-1]

    class Core:
        KeyfileError = bittensor_core.KeyfileError
        WrongPasswordError = bittensor_core.WrongPasswordError
        encrypt_keyfile_data = staticmethod(encrypt)
        decrypt_keyfile_data = staticmethod(decrypt)

    monkeypatch.setattr(sealing, "bittensor_core", lambda: Core)
    for name in (passwords_module.PASSWORD_VARIABLE, "BT_WALLET_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return opened


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_new_wallet_comes_back(tmp_path: Path, scheme: str) -> None:
    made = Wallet("cold", "hot", tmp_path).create(scheme)
    assert list(tree(tmp_path)) == [
        "cold/coldkey",
        "cold/coldkeypub.txt",
        "cold/hotkeys/hot",
        "cold/hotkeys/hotpub.txt",
    ]
    read = Wallet("cold", "hot", tmp_path)
    assert read.hotkey == made.hotkey == read.hotkeypub
    assert read.coldkey == made.coldkey == read.coldkeypub
    assert read.hotkey != read.coldkey
    assert (read.hotkey.scheme, read.coldkey.scheme) == (scheme, scheme)
    assert read.hotkey.can_sign
    assert read.coldkey.can_sign
    assert not read.hotkeypub.can_sign
    assert not read.coldkeypub.can_sign
    assert read.exists
    assert read.hotkey.secret.phrase == made.hotkey.secret.phrase


def test_modes(tmp_path: Path) -> None:
    Wallet("cold", "hot", tmp_path / "wallets").create()
    for path in (tmp_path / "wallets").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o600 if path.is_file() else 0o700)


def test_the_constructor_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    wallet = Wallet()
    assert wallet.path == tmp_path / ".bittensor" / "wallets"
    assert (wallet.name, wallet.hotkey_name) == ("default", "default")
    assert wallet.hotkey_path == wallet.path / "default" / "hotkeys" / "default"
    assert not wallet.exists
    assert list(tmp_path.iterdir()) == []


def test_the_sdk_reads_our_wallet(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path).create()
    for path, keypair in (
        (wallet.hotkey_path, wallet.hotkey),
        (wallet.coldkey_path, wallet.coldkey),
        (wallet.coldkeypub_path, wallet.coldkey),
        (wallet.hotkeypub_path, wallet.hotkey),
    ):
        theirs = bittensor_core.deserialize_keypair_from_keyfile_data(path.read_bytes())
        assert theirs.ss58_address == keypair.ss58_address


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "../x", "/abs", "a\\b", "C:x", "a\0b", "a\nb", "x" * 201],
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.WalletError, match="wallet name"):
        Wallet(name, "hot", tmp_path)
    with pytest.raises(errors.WalletError, match="hotkey name"):
        Wallet("cold", name, tmp_path)


def test_a_hotkey_is_not_named_like_a_public_file(tmp_path: Path) -> None:
    with pytest.raises(errors.WalletError, match=r"minerpub\.txt"):
        Wallet("cold", "minerpub.txt", tmp_path)


def test_an_unknown_home(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.WalletError, match="home folder"):
        Wallet(path="~no-such-user-here/wallets")


def test_a_missing_hotkey_names_its_path_and_the_command(tmp_path: Path) -> None:
    wallet = Wallet("my cold", "hot", tmp_path)
    asks: list[Callable[[], Keypair]] = [
        lambda: wallet.hotkey,
        lambda: wallet.hotkeypub,
        lambda: signer_of(wallet),
    ]
    for ask in asks:
        with pytest.raises(errors.WalletNotFound) as caught:
            ask()
        assert str(wallet.hotkey_path) in str(caught.value)
        command = "ganglion wallet new --wallet.name 'my cold' --wallet.hotkey hot"
        assert f"`{command} --wallet.path {tmp_path}`" in str(caught.value)
    with pytest.raises(errors.WalletNotFound, match="coldkey") as caught:
        _ = wallet.coldkey
    assert "--wallet.hotkey" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_is_not_repeated_in_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(errors.WalletNotFound) as caught:
        _ = Wallet("cold", "hot").hotkey
    assert str(caught.value).endswith("--wallet.name cold --wallet.hotkey hot`")


def test_create_replaces_nothing_unasked_and_never_a_coldkey(tmp_path: Path) -> None:
    first = Wallet("cold", "hot", tmp_path).create()
    before = tree(tmp_path)
    with pytest.raises(errors.WalletExists):
        Wallet("cold", "hot", tmp_path).create()
    assert tree(tmp_path) == before
    second = Wallet("cold", "other", tmp_path).create()
    assert second.coldkeypub == first.coldkeypub
    again = Wallet("cold", "hot", tmp_path).create(overwrite=True)
    assert again.coldkeypub == first.coldkeypub
    assert again.hotkey != first.hotkey
    read = Wallet("cold", "hot", tmp_path)
    assert read.hotkey == again.hotkey == read.hotkeypub
    assert Wallet("cold", "other", tmp_path).hotkey == second.hotkey


def test_an_unknown_scheme_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(errors.WalletError, match="ecdsa"):
        Wallet("cold", "hot", tmp_path).create("ecdsa")
    assert tree(tmp_path) == {}


def test_set_and_replace(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path).set_hotkey(ALICE).set_coldkey(BOB)
    assert (wallet.hotkey, wallet.coldkeypub) == (ALICE, BOB)
    with pytest.raises(errors.WalletExists):
        wallet.set_hotkey(BOB)
    with pytest.raises(errors.WalletExists):
        wallet.set_coldkey(ALICE)
    assert Wallet("cold", "hot", tmp_path).hotkey == ALICE
    wallet.set_hotkey(BOB, overwrite=True)
    read = Wallet("cold", "hot", tmp_path)
    assert wallet.hotkey == wallet.hotkeypub == read.hotkey == read.hotkeypub == BOB


def test_no_password_is_asked_for_a_file_that_is_there(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path).set_hotkey(ALICE)
    wallet.hotkeypub_path.unlink()
    with pytest.raises(errors.WalletExists):
        wallet.set_hotkey(BOB, password=lambda: pytest.fail("asked"))


def test_a_public_half_is_no_hotkey(tmp_path: Path) -> None:
    with pytest.raises(errors.WalletError, match="public half"):
        Wallet("cold", "hot", tmp_path).set_hotkey(ALICE.public_half())
    assert tree(tmp_path) == {}


def test_a_machine_without_the_coldkey(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path).set_coldkeypub(ALICE)
    before = tree(tmp_path)
    assert list(before) == ["cold/coldkeypub.txt"]
    assert b"privateKey" not in before["cold/coldkeypub.txt"]
    # Neither a new coldkey of another key nor another public half takes its place.
    with pytest.raises(errors.WalletExists, match=r"coldkeypub\.txt"):
        Wallet("cold", "hot", tmp_path).set_coldkey(BOB)
    with pytest.raises(errors.WalletExists):
        wallet.set_coldkeypub(BOB)
    assert tree(tmp_path) == before
    created = Wallet("cold", "hot", tmp_path).create()
    assert created.coldkeypub == ALICE
    assert not created.coldkey_path.exists()
    # The same key may be completed; after that the public half follows the coldkey only.
    wallet.set_coldkey(ALICE)
    with pytest.raises(errors.WalletExists):
        wallet.set_coldkeypub(BOB, overwrite=True)
    assert Wallet("cold", "hot", tmp_path).coldkeypub == ALICE


def test_a_failed_replacement_keeps_the_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Wallet("cold", "hot", tmp_path).set_hotkey(ALICE)
    before = tree(tmp_path)

    def no_space(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(errors.WalletError, match="No space left"):
            Wallet("cold", "hot", tmp_path).set_hotkey(BOB, overwrite=True)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("crash_at", ["secret", "public"])
def test_a_crash_between_the_two_files_never_mixes_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    Wallet("cold", "hot", tmp_path).set_hotkey(ALICE)

    def crash(temporary: Path, path: Path, *, overwrite: bool) -> None:
        if path.name.endswith("pub.txt") == (crash_at == "public"):
            raise KeyboardInterrupt
        publish(temporary, path, overwrite=overwrite)

    with monkeypatch.context() as patch:
        patch.setattr("node.keys.wallet.publish", crash)
        with pytest.raises(KeyboardInterrupt):
            Wallet("cold", "hot", tmp_path).set_hotkey(BOB, overwrite=True)
    public = Wallet("cold", "hot", tmp_path).hotkeypub
    assert public == Wallet("cold", "hot", tmp_path).hotkey
    assert public == (BOB if crash_at == "public" else ALICE)


def test_what_a_killed_writer_leaves_is_no_key(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from node.keys import Keypair, Wallet, wallet\n"
        "wallet.publish = lambda *_, **__: os._exit(9)\n"
        "Wallet('cold', 'hot', sys.argv[1]).set_hotkey(Keypair.from_uri('//Alice'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == 9
    left = tree(tmp_path)
    assert len(left) == 2, "the two prepared files"
    assert wallet.hotkey_names() == []
    assert Wallet.find(tmp_path) == []
    with pytest.raises(errors.WalletNotFound):
        _ = wallet.hotkey
    wallet.set_hotkey(BOB)
    assert Wallet("cold", "hot", tmp_path).hotkey == BOB


def test_processes_that_create_the_same_wallet_at_once(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from node import errors\n"
        "from node.keys import Wallet\n"
        "try: print(Wallet('cold', 'hot', sys.argv[1]).create().hotkey.ss58_address)\n"
        "except errors.WalletExists: print('exists')\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [process.communicate()[0].decode().strip() for process in running]
    winners = [line for line in said if line != "exists"]
    wallet = Wallet("cold", "hot", tmp_path)
    assert winners == [wallet.hotkey.ss58_address]
    assert wallet.hotkey == wallet.hotkeypub
    assert wallet.coldkey == wallet.coldkeypub


def test_keys_are_read_once(tmp_path: Path) -> None:
    Wallet("cold", "hot", tmp_path).create()
    wallet = Wallet("cold", "hot", tmp_path)
    hotkey, public = wallet.hotkey, wallet.hotkeypub
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.unlink()
    assert wallet.hotkey is hotkey
    assert wallet.hotkeypub is public


def test_encrypted_keys(tmp_path: Path, quick_seal: list[str]) -> None:
    calls: list[str] = []

    def password() -> str:
        calls.append("asked")
        return "secret"

    made = Wallet("cold", "hot", tmp_path).create(password=password, encrypt_hotkey=True)
    assert calls == ["asked"]
    assert made.is_encrypted(made.coldkey_path)
    assert made.is_encrypted(made.hotkey_path)
    assert not made.is_encrypted(made.hotkeypub_path)
    assert not any(b"secret" in name.encode() for name in tree(tmp_path))

    public = Wallet("cold", "hot", tmp_path, password=lambda: pytest.fail("asked"))
    assert public.hotkeypub == made.hotkey
    assert public.coldkeypub == made.coldkey
    assert quick_seal == []

    read = Wallet("cold", "hot", tmp_path, password=password)
    assert read.hotkey == made.hotkey
    assert read.hotkey == made.hotkey
    assert read.coldkey == made.coldkey
    assert calls == ["asked"] * 3


def test_by_default_a_password_encrypts_the_coldkey_only(
    tmp_path: Path, quick_seal: list[str]
) -> None:
    wallet = Wallet("cold", "hot", tmp_path, password="secret").create()
    assert wallet.is_encrypted(wallet.coldkey_path)
    assert not wallet.is_encrypted(wallet.hotkey_path)
    assert Wallet("cold", "hot", tmp_path).hotkey == wallet.hotkey
    # No password is asked for where nothing is to be encrypted.
    Wallet("cold", "two", tmp_path).create(password=lambda: pytest.fail("asked"))


def test_an_encrypted_hotkey_needs_a_password(tmp_path: Path) -> None:
    with pytest.raises(errors.WalletError, match="needs a password"):
        Wallet("cold", "hot", tmp_path).create(encrypt_hotkey=True)
    assert tree(tmp_path) == {}


def test_a_wrong_password_is_one_sentence_and_changes_nothing(
    tmp_path: Path, quick_seal: list[str]
) -> None:
    wallet = Wallet("cold", "hot", tmp_path).set_hotkey(ALICE, password="right")
    before = tree(tmp_path)
    wrong = Wallet("cold", "hot", tmp_path, password="wrong-password")
    with pytest.raises(errors.WrongPassword, match=f"does not open {wallet.hotkey_path}") as caught:
        _ = wrong.hotkey
    assert "wrong-password" not in str(caught.value)
    assert tree(tmp_path) == before
    assert Wallet("cold", "hot", tmp_path, password="right").hotkey == ALICE


def test_the_password_from_the_environment(
    tmp_path: Path, quick_seal: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Wallet("cold", "hot", tmp_path).set_hotkey(ALICE, password="right")
    monkeypatch.setenv(passwords_module.PASSWORD_VARIABLE, "right")
    assert Wallet("cold", "hot", tmp_path).hotkey == ALICE


def test_an_encrypted_key_without_its_public_file(tmp_path: Path, quick_seal: list[str]) -> None:
    wallet = Wallet("cold", "hot", tmp_path).set_hotkey(ALICE, password="right")
    wallet.hotkeypub_path.unlink()
    read = Wallet("cold", "hot", tmp_path, password="right")
    with pytest.raises(errors.WalletError, match="no public file"):
        _ = read.hotkeypub
    assert quick_seal == []
    assert read.hotkey == ALICE
    assert read.hotkeypub == ALICE
    assert not read.hotkeypub.can_sign


def test_a_wallet_of_7_4_has_no_public_hotkey_file(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path).set_hotkey(ALICE)
    wallet.hotkeypub_path.unlink()
    public = Wallet("cold", "hot", tmp_path).hotkeypub
    assert public == ALICE
    assert not public.can_sign


def test_a_secret_in_the_public_file_does_not_come_through(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path)
    wallet.hotkeypub_path.parent.mkdir(parents=True)
    wallet.hotkeypub_path.write_bytes(encode_keyfile(ALICE))
    assert not wallet.hotkeypub.can_sign


def test_the_way_out_of_a_damaged_file_is_the_one_for_that_key(tmp_path: Path) -> None:
    wallet = Wallet("cold", "coldkey", tmp_path).set_hotkey(ALICE).set_coldkey(BOB)
    wallet.coldkey_path.write_text("junk")
    wallet.hotkey_path.write_text("junk")
    read = Wallet("cold", "coldkey", tmp_path)
    with pytest.raises(errors.CorruptKeyfile, match="`ganglion wallet import --overwrite`"):
        _ = read.hotkey
    with pytest.raises(errors.CorruptKeyfile, match="import --overwrite --key coldkey`"):
        _ = read.coldkey


@pytest.mark.parametrize("data", [b"", b"junk", b"$NACL", b'{"ss58Address": "x"}', bytes(70_000)])
def test_a_damaged_file_is_one_sentence_and_is_left_alone(tmp_path: Path, data: bytes) -> None:
    wallet = Wallet("cold", "hot", tmp_path, password="any")
    wallet.hotkey_path.parent.mkdir(parents=True)
    wallet.hotkey_path.write_bytes(data)
    for ask in (lambda: wallet.hotkey, lambda: wallet.create()):
        with pytest.raises((errors.CorruptKeyfile, errors.WalletExists)) as caught:
            ask()
        assert str(wallet.hotkey_path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert wallet.hotkey_path.read_bytes() == data


def test_a_folder_in_the_place_of_a_key(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path)
    wallet.hotkey_path.mkdir(parents=True)
    with pytest.raises(errors.WalletError, match="Is a directory"):
        _ = wallet.hotkey
    assert not wallet.exists


def test_readable_by_others_is_a_warning_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wallet = Wallet("cold", "hot", tmp_path).create()
    wallet.hotkey_path.chmod(0o644)
    wallet.hotkeypub_path.chmod(0o644)
    wallet.hotkeypub_path.unlink()
    read = Wallet("cold", "hot", tmp_path)
    with caplog.at_level(logging.WARNING, logger="node"):
        assert read.hotkeypub == read.hotkey == wallet.hotkey
        assert read.coldkey == wallet.coldkey
    assert [record.getMessage() for record in caplog.records] == [
        f"other users may read the key file {wallet.hotkey_path}; run `chmod 600` on it"
    ]


def test_a_public_file_that_others_may_read_is_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wallet = Wallet("cold", "hot", tmp_path).create()
    wallet.hotkeypub_path.chmod(0o644)
    with caplog.at_level(logging.WARNING, logger="node"):
        _ = Wallet("cold", "hot", tmp_path).hotkeypub
    assert caplog.records == []


def test_find_and_hotkey_names(tmp_path: Path) -> None:
    assert Wallet.find(tmp_path / "none") == []
    Wallet("b", "two", tmp_path).create()
    Wallet("b", "one", tmp_path).create()
    Wallet("a", "x", tmp_path).set_coldkeypub(ALICE)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden" / "hotkeys").mkdir(parents=True)
    (tmp_path / "b" / "hotkeys" / ".one.123.tmp").write_text("temporary")
    (tmp_path / "b" / "hotkeys" / "three" / "nested").mkdir(parents=True)
    (tmp_path / "b" / "hotkeys" / "four:five").write_text("{}")
    (tmp_path / "b" / "hotkeys" / "pub.txt").write_text("{}")
    (tmp_path / "file").write_text("x")
    found = Wallet.find(tmp_path)
    assert [wallet.name for wallet in found] == ["a", "b"]
    assert found[0].hotkey_names() == []
    assert found[1].hotkey_names() == ["one", "two"]
    Wallet("b", "one", tmp_path).hotkey_path.unlink()
    assert found[1].hotkey_names() == ["one", "two"], "a public half is a hotkey too"


def test_nothing_secret_in_repr_or_pickle(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path, password="hidden").set_hotkey(ALICE)
    assert repr(wallet) == f"<Wallet 'cold' hotkey 'hot' in {str(tmp_path)!r}>"
    data = pickle.dumps(wallet)
    assert b"hidden" not in data
    assert ALICE.secret.private_key not in data
    assert pickle.loads(data).hotkey == ALICE


def test_signer_of(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path).set_hotkey(ALICE)
    assert signer_of(wallet) == ALICE
    assert signer_of(ALICE) is ALICE
    with pytest.raises(errors.WalletError, match="can't sign"):
        signer_of(ALICE.public_half())
    wallet.hotkey_path.write_bytes(wallet.hotkeypub_path.read_bytes())
    with pytest.raises(errors.WalletError, match="can't sign"):
        signer_of(Wallet("cold", "hot", tmp_path))
    with pytest.raises(TypeError, match="Wallet or a Keypair"):
        signer_of(ALICE.ss58_address)  # type: ignore[arg-type]


def test_a_plain_file_is_json_that_others_can_read(tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path).set_hotkey(ALICE)
    record = json.loads(wallet.hotkey_path.read_text())
    assert record["ss58Address"] == ALICE.ss58_address
    assert record["cryptoType"] == 1
