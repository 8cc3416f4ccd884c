"""The wallet: is the hotkey there, can it be read, and by whom else.

This check alone may ask a question: the password of an encrypted hotkey, on a terminal and without
`--no_prompt`, as the neuron itself would. So it is made first, and outside the event loop.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from node import errors
from node.keys import Keypair, Wallet
from node.keys.passwords import PASSWORD_VARIABLE
from node.neuron.config import Config
from node.neuron.wallets import open_wallet

from .finding import Finding

__all__ = ["Key", "check_wallet"]

_CHECK = "wallet"


@dataclass(frozen=True, slots=True)
class Key:
    """As much of the hotkey as could be had.

    Attributes:
        address: SS58 with prefix 42, or "" where not even the public half could be read.
        keypair: What signs; None where it is locked or broken.
    """

    address: str = ""
    keypair: Keypair | None = None


def check_wallet(config: Config) -> tuple[Key, Finding]:
    """Read the hotkey as a neuron would, and judge its file. Raises nothing.

    Args:
        config: With the `wallet.*` settings and `no_prompt`.
    """
    try:
        wallet = Wallet(config["wallet.name"], config["wallet.hotkey"], config["wallet.path"])
        is_encrypted = wallet.is_encrypted(wallet.hotkey_path)
    except errors.WalletError as error:
        return Key(), _broken(error)
    address = _public_address(wallet)
    try:
        keypair = open_wallet(config).hotkey
    except errors.WrongPassword as error:
        return Key(address), Finding.fail(
            _CHECK, str(error), f"correct {PASSWORD_VARIABLE}, or type it at the prompt"
        )
    except errors.WalletError as error:
        if is_encrypted and type(error) is errors.WalletError:
            return Key(address), _locked(config, str(error).partition(": ")[0])
        return Key(address), _broken(error)
    return Key(keypair.ss58_address, keypair), _judge(wallet, keypair, address, is_encrypted)


def _public_address(wallet: Wallet) -> str:
    try:
        return wallet.hotkeypub.ss58_address
    except errors.WalletError:
        return ""


def _broken(error: errors.WalletError) -> Finding:
    if isinstance(error, errors.WalletNotFound):
        found, _, advice = str(error).partition("; ")
        return Finding.fail(_CHECK, found, advice or "make one with `ganglion wallet new`")
    return Finding.fail(
        _CHECK, str(error), "correct --wallet.name, --wallet.hotkey and --wallet.path, or the file"
    )


def _locked(config: Config, found: str) -> Finding:
    if config["no_prompt"]:
        return Finding.fail(
            _CHECK, found, f"set {PASSWORD_VARIABLE}, since --no_prompt asks nobody"
        )
    return Finding.warn(
        _CHECK,
        f"{found}, so nothing that needs a signature was checked",
        f"set {PASSWORD_VARIABLE} for a start without a terminal, or run this in one",
    )


def _judge(wallet: Wallet, keypair: Keypair, public: str, is_encrypted: bool) -> Finding:
    path = wallet.hotkey_path
    if public and public != keypair.ss58_address:
        return Finding.fail(
            _CHECK,
            f"{wallet.hotkeypub_path} is of {public}, but {path} of {keypair.ss58_address}",
            "find out which key is meant, and import it again with `ganglion wallet import`",
        )
    mode = _mode_of(path)
    if mode is not None and mode & 0o077:
        return Finding.warn(
            _CHECK,
            f"other users of this machine can read or write {path} (mode {mode:04o})",
            f"run: chmod 600 {path}",
        )
    state = "encrypted, and its password is known" if is_encrypted else "not encrypted"
    return Finding.ok(
        _CHECK, f"hotkey {keypair.ss58_address} ({keypair.scheme}) can sign; its file is {state}"
    )


def _mode_of(path: Path) -> int | None:
    """The file's permissions; None where the system has no such thing."""
    try:
        return path.stat().st_mode & 0o777 if os.name == "posix" else None
    except OSError:
        return None
