"""The `--wallet.*` flags of commands, and the wallet that they name."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.keys import Wallet

__all__ = ["add_wallet_flags", "wallet_of"]

_SETTINGS = {
    "wallet.name": ("BT_WALLET_NAME", "default"),
    "wallet.hotkey": ("BT_WALLET_HOTKEY", "default"),
    "wallet.path": ("BT_WALLET_PATH", "~/.bittensor/wallets"),
}


def add_wallet_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--wallet.name`, `--wallet.hotkey` and `--wallet.path` to a command."""
    group = parser.add_argument_group("wallet")
    for name, metavar, summary in (
        ("wallet.name", "NAME", "wallet"),
        ("wallet.hotkey", "NAME", "hotkey"),
        ("wallet.path", "FOLDER", "all wallets"),
    ):
        variable, default = _SETTINGS[name]
        group.add_argument(
            f"--{name}", metavar=metavar, help=f"{summary} (default: ${variable}, else {default})"
        )


def wallet_of(args: argparse.Namespace) -> Wallet:
    """The wallet that the flags name, or else the variables that bittensor reads; reads no file."""
    from node.keys import Wallet

    return Wallet(
        _setting(args, "wallet.name"),
        _setting(args, "wallet.hotkey"),
        _setting(args, "wallet.path"),
    )


def _setting(args: argparse.Namespace, name: str) -> str:
    given: str | None = getattr(args, name)
    variable, default = _SETTINGS[name]
    return given if given is not None else os.environ.get(variable) or default
