from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from node import Wallet
from node.errors import WalletError, WalletNotFound
from node.neuron.config import Config
from node.neuron.flags import build_parser
from node.neuron.resolver import resolve
from node.neuron.wallets import open_wallet


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def config_of(folder: Path, *argv: str) -> Config:
    argv = ("--netuid", "8", "--wallet.path", str(folder), *argv)
    return resolve(build_parser("miner", prog="p"), argv, {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A terminal whose user types `sesame`; the list holds the questions."""
    questions: list[str] = []

    def answer(question: str) -> str:
        questions.append(question)
        return "sesame"

    for name in ("GANGLION_WALLET_PASSWORD", "BT_WALLET_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", answer)
    return questions


def test_the_wallet_is_the_one_that_the_settings_name(tmp_path: Path) -> None:
    made = Wallet("w", "h", tmp_path).create()
    opened = open_wallet(config_of(tmp_path, "--wallet.name", "w", "--wallet.hotkey", "h"))
    assert opened.hotkey.ss58_address == made.hotkey.ss58_address


def test_a_missing_one_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(WalletNotFound, match=r"ganglion wallet new --wallet\.name default"):
        open_wallet(config_of(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_no_prompt_asks_nobody(tmp_path: Path, asked: list[str]) -> None:
    Wallet("default", "default", tmp_path).create(password="sesame", encrypt_hotkey=True)
    with pytest.raises(WalletError, match="GANGLION_WALLET_PASSWORD"):
        open_wallet(config_of(tmp_path, "--no_prompt"))
    assert asked == []
    assert isinstance(sys.stdin, Terminal)
    assert open_wallet(config_of(tmp_path)).hotkey.can_sign
    assert len(asked) == 1


def test_no_prompt_takes_the_password_from_the_environment(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Wallet("default", "default", tmp_path).create(password="open", encrypt_hotkey=True)
    monkeypatch.setenv("GANGLION_WALLET_PASSWORD", "open")
    assert open_wallet(config_of(tmp_path, "--no_prompt")).hotkey.can_sign
    assert asked == []
