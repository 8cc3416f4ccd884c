from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node import Keypair, Wallet
from node.neuron.doctor import Finding, Key, Verdict, check_wallet

from .conftest import Settings

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wallets whose hotkey is encrypted; made once, as that takes seconds."""
    folder = tmp_path_factory.mktemp("sealed")
    Wallet("default", "miner", folder).set_hotkey(Keypair.generate(), password=PASSWORD)
    return folder


@pytest.fixture
def encrypted(tmp_path: Path, sealed: Path) -> Wallet:
    shutil.copytree(sealed, tmp_path / "wallets")
    return Wallet("default", "miner", tmp_path / "wallets")


def check(settings: Settings, *argv: str) -> tuple[Key, Finding]:
    key, finding = check_wallet(settings(*argv))
    assert finding.check == "wallet"
    assert (finding.advice == "") == (finding.verdict is Verdict.OK)
    for secret in (PASSWORD, "wrong one"):
        assert secret not in finding.found + finding.advice
    return key, finding


def test_a_good_wallet(settings: Settings, wallet: Wallet) -> None:
    key, finding = check(settings)
    assert finding.verdict is Verdict.OK
    assert wallet.hotkey.ss58_address in finding.found
    assert key == Key(wallet.hotkey.ss58_address, wallet.hotkey)


def test_no_wallet(settings: Settings) -> None:
    key, finding = check(settings)
    assert (finding.verdict, key) == (Verdict.FAIL, Key())
    assert "ganglion wallet new" in finding.advice


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620])
def test_a_key_that_others_may_read_or_write(settings: Settings, wallet: Wallet, mode: int) -> None:
    wallet.hotkey_path.chmod(mode)
    key, finding = check(settings)
    assert finding.verdict is Verdict.WARN
    assert f"{mode:04o}" in finding.found
    assert f"chmod 600 {wallet.hotkey_path}" in finding.advice
    assert key.keypair is not None


def test_a_damaged_key(settings: Settings, wallet: Wallet) -> None:
    wallet.hotkey_path.write_text("{")
    key, finding = check(settings)
    assert finding.verdict is Verdict.FAIL
    assert "damaged" in finding.found
    assert key == Key(wallet.hotkey.ss58_address, None)


def test_a_public_half_of_another_key(settings: Settings, wallet: Wallet, tmp_path: Path) -> None:
    other = Wallet("default", "other", tmp_path / "wallets").create()
    wallet.hotkeypub_path.write_bytes(other.hotkeypub_path.read_bytes())
    _, finding = check(settings)
    assert finding.verdict is Verdict.FAIL
    assert other.hotkey.ss58_address in finding.found


def test_an_encrypted_key_without_a_password(settings: Settings, encrypted: Wallet) -> None:
    key, finding = check(settings)
    assert finding.verdict is Verdict.WARN
    assert "encrypted and no password was given" in finding.found
    assert "GANGLION_WALLET_PASSWORD" in finding.advice
    assert key == Key(encrypted.hotkeypub.ss58_address, None)


def test_nobody_is_asked_with_no_prompt(settings: Settings, encrypted: Wallet) -> None:
    _, finding = check(settings, "--no_prompt")
    assert (finding.verdict, "--no_prompt" in finding.advice) == (Verdict.FAIL, True)


@pytest.mark.parametrize(
    ("password", "verdict"), [(PASSWORD, Verdict.OK), ("wrong one", Verdict.FAIL)]
)
def test_an_encrypted_key_with_a_password(
    settings: Settings,
    encrypted: Wallet,
    monkeypatch: pytest.MonkeyPatch,
    password: str,
    verdict: Verdict,
) -> None:
    monkeypatch.setenv("GANGLION_WALLET_PASSWORD", password)
    key, finding = check(settings)
    assert finding.verdict is verdict
    assert key.address == encrypted.hotkeypub.ss58_address
    assert (key.keypair is not None) == (verdict is Verdict.OK)
