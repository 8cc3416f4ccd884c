from __future__ import annotations

import argparse
import getpass
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bittensor_core
import pytest

from node import errors
from node.commands import wallet as module
from node.keys import Keypair, Wallet, sealing
from node.keys.keyfile import encode_keyfile

PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
PHRASE_ADDRESS = "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV"
SEED = bytes(range(32)).hex()
ALICE = Keypair.from_uri("//Alice")

Run = Callable[..., str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Core:
    """Encryption that costs nothing, in place of half a gigabyte and two seconds."""

    KeyfileError = bittensor_core.KeyfileError
    WrongPasswordError = bittensor_core.WrongPasswordError

    @staticmethod
    def encrypt_keyfile_data(data: bytes, password: str) -> bytes:
        return b"$NACL" + password.encode().ljust(40) + data[::-1]

    @staticmethod
    def decrypt_keyfile_data(data: bytes, password: str) -> bytes:
        if data[5:45].strip() != password.encode():
            raise bittensor_core.WrongPasswordError("wrong")
        return data[45:][::-1]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "bittensor_core", lambda: Core)
    monkeypatch.setenv("BT_WALLET_PATH", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    for name in ("BT_WALLET_NAME", "BT_WALLET_HOTKEY", "BT_WALLET_PASSWORD", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GANGLION_WALLET_PASSWORD", raising=False)


def call(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="ganglion")
    module.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["wallet", *words])
    return int(args.run(args))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*words: str) -> str:
        assert call(*words) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out

    return run_command


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | str], None]:
    def give_on_stdin(data: bytes | str) -> None:
        raw = data if isinstance(data, bytes) else data.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    return give_on_stdin


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    def type_in(*answers: str) -> list[str]:
        prompts: list[str] = []
        coming: Iterator[str] = iter(answers)

        def ask(prompt: str) -> str:
            prompts.append(prompt)
            for answer in coming:
                return answer
            raise EOFError

        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setattr(getpass, "getpass", ask)
        return prompts

    return type_in


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_new_prints_addresses_and_files_and_no_secret(run: Run, tmp_path: Path) -> None:
    said = run("new", "--no_password", "--wallet.name", "cold", "--wallet.hotkey", "hot")
    wallet = Wallet("cold", "hot", tmp_path)
    for expected in (
        wallet.hotkey.ss58_address,
        wallet.coldkey.ss58_address,
        str(wallet.hotkey_path),
        str(wallet.coldkey_path),
    ):
        assert expected in said
    for keypair in (wallet.hotkey, wallet.coldkey):
        secret = keypair.secret
        assert secret.phrase is not None
        assert secret.seed is not None
        assert secret.phrase not in said
        assert secret.seed.hex() not in said


def test_new_shows_the_phrases_when_asked(run: Run, tmp_path: Path) -> None:
    said = run("new", "--no_password", "--show_mnemonic")
    wallet = Wallet(path=tmp_path)
    assert f"coldkey phrase: {wallet.coldkey.secret.phrase}" in said
    assert f"hotkey phrase: {wallet.hotkey.secret.phrase}" in said
    said = run("new", "--no_password", "--show_mnemonic", "--wallet.hotkey", "two")
    assert "coldkey phrase" not in said
    assert "is kept" in said
    assert f"hotkey phrase: {Wallet('default', 'two', tmp_path).hotkey.secret.phrase}" in said


def test_new_encrypts_the_coldkey_by_default(
    run: Run, tmp_path: Path, typed: Callable[..., list[str]]
) -> None:
    prompts = typed("secret", "secret")
    said = run("new")
    wallet = Wallet(path=tmp_path, password="secret")
    assert len(prompts) == 2
    assert str(wallet.coldkey_path) in prompts[0]
    assert wallet.is_encrypted(wallet.coldkey_path)
    assert not wallet.is_encrypted(wallet.hotkey_path)
    assert wallet.coldkey == wallet.coldkeypub
    assert "encrypted" in said
    assert "secret" not in said
    # The second hotkey of a wallet encrypts nothing, so nothing is asked.
    prompts = typed()
    run("new", "--wallet.hotkey", "two")
    assert prompts == []


def test_new_encrypts_the_hotkey_when_asked(
    run: Run, tmp_path: Path, typed: Callable[..., list[str]]
) -> None:
    run("new", "--no_password")
    prompts = typed("secret", "secret")
    run("new", "--wallet.hotkey", "two", "--encrypt")
    wallet = Wallet("default", "two", tmp_path, password="secret")
    assert str(wallet.hotkey_path) in prompts[0]
    assert wallet.is_encrypted(wallet.hotkey_path)
    assert wallet.hotkey == wallet.hotkeypub


def test_new_without_a_password_or_terminal_makes_nothing(run: Run, tmp_path: Path) -> None:
    with pytest.raises(errors.WalletError, match="--no_password"):
        run("new")
    assert tree(tmp_path) == {}


def test_new_replaces_nothing_unasked(
    run: Run, tmp_path: Path, typed: Callable[..., list[str]]
) -> None:
    run("new", "--no_password")
    before = tree(tmp_path)
    prompts = typed("secret", "secret")
    with pytest.raises(errors.WalletExists, match="--overwrite"):
        run("new", "--encrypt")
    assert prompts == [], "nothing is asked for in vain"
    assert tree(tmp_path) == before
    run("new", "--no_password", "--overwrite", "--scheme", "ed25519")
    after = tree(tmp_path)
    assert Wallet(path=tmp_path).hotkey.scheme == "ed25519"
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"default/hotkeys/default", "default/hotkeys/defaultpub.txt"}


def test_names_come_from_flags_then_variables(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BT_WALLET_NAME", "cold")
    monkeypatch.setenv("BT_WALLET_HOTKEY", "hot")
    run("new", "--no_password")
    run("new", "--no_password", "--wallet.name", "flag", "--wallet.path", str(tmp_path / "else"))
    assert sorted(tree(tmp_path)) == [
        "cold/coldkey",
        "cold/coldkeypub.txt",
        "cold/hotkeys/hot",
        "cold/hotkeys/hotpub.txt",
        "else/flag/coldkey",
        "else/flag/coldkeypub.txt",
        "else/flag/hotkeys/hot",
        "else/flag/hotkeys/hotpub.txt",
    ]


def make_wallets(folder: Path) -> None:
    Wallet("a", "one", folder).create(password="secret")
    Wallet("a", "two", folder).create("ed25519")
    Wallet("b", "watch", folder).set_coldkeypub(ALICE)
    broken = Wallet("c", "broken", folder)
    broken.hotkey_path.parent.mkdir(parents=True)
    broken.hotkey_path.write_text("junk")
    broken.hotkey_path.chmod(0o600)
    Wallet("c", "good", folder).set_hotkey(ALICE)


def test_list(run: Run, tmp_path: Path) -> None:
    make_wallets(tmp_path)
    before = tree(tmp_path)
    said = run("list")
    lines = [line.split() for line in said.splitlines()]
    one, two = (Wallet("a", hotkey, tmp_path) for hotkey in ("one", "two"))
    assert lines[1:8] == [
        ["a", one.coldkeypub.ss58_address, "sr25519", "encrypted"],
        ["├─", "one", one.hotkey.ss58_address, "sr25519", "plain"],
        ["└─", "two", two.hotkey.ss58_address, "ed25519", "plain"],
        ["b", ALICE.ss58_address, "sr25519", "public"],
        ["c", "-", "-", "none"],
        ["├─", "broken", "-", "-", "broken"],
        ["└─", "good", ALICE.ss58_address, "sr25519", "plain"],
    ]
    assert str(tmp_path / "c" / "hotkeys" / "broken") in said
    assert "it is not JSON" in said
    assert tree(tmp_path) == before


def test_list_as_json(run: Run, tmp_path: Path) -> None:
    make_wallets(tmp_path)
    wallets = json.loads(run("list", "--json"))
    assert [wallet["name"] for wallet in wallets] == ["a", "b", "c"]
    hotkeys = {hotkey["name"]: hotkey for hotkey in wallets[2]["hotkeys"]}
    assert hotkeys["good"] == {
        "role": "hotkey",
        "name": "good",
        "address": ALICE.ss58_address,
        "scheme": "sr25519",
        "state": "plain",
        "file": str(tmp_path / "c" / "hotkeys" / "good"),
        "error": None,
    }
    assert hotkeys["broken"]["state"] == "broken"
    assert "not JSON" in hotkeys["broken"]["error"]
    assert wallets[2]["coldkey"]["state"] == "none"


def test_list_of_nothing(run: Run, tmp_path: Path) -> None:
    assert run("list").startswith(f"No wallets in {tmp_path}.")
    assert json.loads(run("list", "--json")) == []


def test_list_marks_a_public_file_of_another_key(run: Run, tmp_path: Path) -> None:
    wallet = Wallet(path=tmp_path).set_hotkey(ALICE)
    wallet.hotkeypub_path.write_bytes(encode_keyfile(Keypair.from_uri("//Bob").public_half()))
    [found] = json.loads(run("list", "--json"))
    assert "another key" in found["hotkeys"][0]["error"]
    with pytest.raises(errors.CorruptKeyfile, match="another key"):
        run("show")


def test_show(run: Run, tmp_path: Path) -> None:
    wallet = Wallet("cold", "hot", tmp_path).create()
    names = ("--wallet.name", "cold", "--wallet.hotkey", "hot")
    said = run("show", *names)
    for expected in (
        wallet.hotkey.ss58_address,
        wallet.coldkey.ss58_address,
        str(wallet.hotkey_path),
        "sr25519",
        "plain",
    ):
        assert expected in said
    assert wallet.hotkey.secret.phrase is not None
    assert wallet.hotkey.secret.phrase not in said
    shown = json.loads(run("show", "--json", *names))
    assert shown["hotkeys"][0]["address"] == wallet.hotkey.ss58_address
    assert shown["coldkey"]["address"] == wallet.coldkey.ss58_address


def test_show_never_asks_for_a_password(run: Run, tmp_path: Path) -> None:
    wallet = Wallet(path=tmp_path).create(password="secret", encrypt_hotkey=True)
    said = run("show")
    assert wallet.hotkey.ss58_address in said
    assert said.count("encrypted") == 2


def test_a_file_that_others_may_read_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Wallet(path=tmp_path).set_hotkey(ALICE).hotkey_path
    path.chmod(0o644)
    assert call("list") == 0
    captured = capsys.readouterr()
    warning = f"warning: other users may read the key file {path}; run `chmod 600` on it\n"
    assert captured.err == warning
    assert ALICE.ss58_address in captured.out


def test_show_of_a_missing_wallet_says_what_to_do(run: Run, tmp_path: Path) -> None:
    with pytest.raises(errors.WalletNotFound, match=r"ganglion wallet new --wallet\.name nobody"):
        run("show", "--wallet.name", "nobody")
    Wallet("miner", path=tmp_path).set_hotkey(ALICE)
    assert "coldkey none" in run("show", "--wallet.name", "miner")


@pytest.mark.parametrize(
    ("given", "flags", "address"),
    [
        (PHRASE, (), PHRASE_ADDRESS),
        (f"  {PHRASE}\n", (), PHRASE_ADDRESS),
        (PHRASE, ("--scheme", "ed25519"), "5DFJF7tY4bpbpcKPJcBTQaKuCDEPCpiz8TRjpmLeTtweqmXL"),
        (SEED, (), "5HB7kpn92RS7uF9uWn8bXSvPVKFPg8kPUFDd5sbveGjX6Dbi"),
        ("0x" + SEED + "\n", (), "5HB7kpn92RS7uF9uWn8bXSvPVKFPg8kPUFDd5sbveGjX6Dbi"),
        (SEED, ("--scheme", "ed25519"), "5C9TqVEs5Q51zUdjvp6tSsjHAfLseJKq1Dq6ULcuSLqEuRSf"),
        (ALICE.secret.private_key.hex(), (), ALICE.ss58_address),
        ("//Alice", (), ALICE.ss58_address),
        (encode_keyfile(ALICE), (), ALICE.ss58_address),
    ],
)
def test_import_from_standard_input(
    run: Run, tmp_path: Path, give: Any, given: str | bytes, flags: tuple[str, ...], address: str
) -> None:
    give(given)
    said = run("import", *flags)
    assert address in said
    wallet = Wallet(path=tmp_path)
    assert wallet.hotkey.ss58_address == address
    assert wallet.hotkey.can_sign
    assert not wallet.is_encrypted(wallet.hotkey_path)


def test_import_from_a_prompt(run: Run, tmp_path: Path, typed: Callable[..., list[str]]) -> None:
    prompts = typed(PHRASE, "secret", "secret")
    said = run("import", "--key", "coldkey")
    assert prompts[0] == "Phrase, seed or key file of the coldkey: "
    assert len(prompts) == 3
    assert PHRASE_ADDRESS in said
    assert PHRASE not in said
    wallet = Wallet(path=tmp_path, password="secret")
    assert wallet.is_encrypted(wallet.coldkey_path)
    assert wallet.coldkey.ss58_address == PHRASE_ADDRESS


def test_import_from_an_encrypted_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Wallet("old", path=tmp_path).set_coldkey(ALICE, password="secret").coldkey_path
    target = ("--key", "coldkey", "--wallet.name", "new", "--file", str(source))
    monkeypatch.setenv("GANGLION_WALLET_PASSWORD", "wrong")
    with pytest.raises(errors.WrongPassword, match="does not open"):
        run("import", *target)
    assert not (tmp_path / "new").exists()
    monkeypatch.setenv("GANGLION_WALLET_PASSWORD", "secret")
    run("import", "--no_password", *target)
    assert Wallet("new", path=tmp_path).coldkey == ALICE


def test_import_of_an_address_watches_a_coldkey(run: Run, tmp_path: Path, give: Any) -> None:
    give(ALICE.ss58_address + "\n")
    said = run("import", "--key", "coldkeypub")
    assert "public" in said
    assert list(tree(tmp_path)) == ["default/coldkeypub.txt"]
    give(ALICE.ss58_address)
    with pytest.raises(errors.WalletError, match="public half"):
        run("import")


def test_import_replaces_nothing_unasked(
    run: Run, tmp_path: Path, give: Any, typed: Callable[..., list[str]]
) -> None:
    Wallet(path=tmp_path).set_hotkey(ALICE).set_coldkey(ALICE)
    before = tree(tmp_path)
    prompts = typed(PHRASE)
    for key in ("hotkey", "coldkey", "coldkeypub"):
        with pytest.raises(errors.WalletExists, match="--overwrite"):
            run("import", "--key", key)
    assert prompts == []
    assert tree(tmp_path) == before
    give(PHRASE)
    run("import", "--overwrite")
    assert Wallet(path=tmp_path).hotkeypub.ss58_address == PHRASE_ADDRESS
    assert Wallet(path=tmp_path).coldkey == ALICE


@pytest.mark.parametrize(
    ("given", "flags", "error"),
    [
        ("", (), errors.InvalidSecret),
        (" \n", (), errors.InvalidSecret),
        (PHRASE.replace("walk", "fit"), (), errors.InvalidSecret),
        (SEED[:-1], (), errors.InvalidSecret),
        ("hunter2", (), errors.InvalidSecret),
        ("\xff\xfe".encode("latin-1"), (), errors.InvalidSecret),
        ('{"secretSeed": "0x00"}', (), errors.CorruptKeyfile),
        ("{", (), errors.CorruptKeyfile),
        ("$NACL", (), errors.WalletError),
        (encode_keyfile(ALICE), ("--scheme", "ed25519"), errors.WalletError),
    ],
)
def test_bad_imports_write_and_quote_nothing(
    run: Run,
    tmp_path: Path,
    give: Any,
    given: str | bytes,
    flags: tuple[str, ...],
    error: type[Exception],
) -> None:
    give(given)
    with pytest.raises(error) as caught:
        run("import", *flags)
    assert tree(tmp_path) == {}
    text = str(caught.value)
    assert "\n" not in text
    for secret in ("bottom", SEED[:16], "hunter2"):
        assert secret not in text


def test_a_phrase_in_the_place_of_a_file_name_is_not_repeated(run: Run) -> None:
    with pytest.raises(errors.WalletNotFound) as caught:
        run("import", "--file", PHRASE)
    assert "bottom" not in str(caught.value)


def test_an_import_prompt_that_ends(run: Run, typed: Callable[..., list[str]]) -> None:
    typed()
    with pytest.raises(errors.InvalidSecret, match="nothing was typed"):
        run("import")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nwe",),
        ("new", "--wallet.nam", "x"),
        ("new", "--no_password", "--encrypt"),
        ("new", "--scheme", "ecdsa"),
        ("import", "--key", "other"),
    ],
)
def test_usage_errors_exit_2(run: Run, words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 2
    assert tree(tmp_path) == {}


def test_importing_the_command_loads_nothing_heavy() -> None:
    script = (
        "import sys, node.commands.wallet\n"
        "heavy = {'node.keys', 'rich', 'cryptography', 'bittensor_core', 'sr25519', 'aiohttp',"
        " 'pydantic'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.stderr.strip() == ""
