"""Wallet files of a test network's keys, for programs that read their wallet from disk."""

from __future__ import annotations

from pathlib import Path

from node.keys import Keypair, Wallet

__all__ = ["wallet_flags"]

_WALLET = "test"


def wallet_flags(folder: Path, keypair: Keypair) -> list[str]:
    """Write a wallet with this hotkey, unless it is there, and return the flags that name it.

    The hotkey is named by its address and written plain; there is no coldkey.

    Args:
        folder: A folder that nobody else reads.
        keypair: A key that can sign.

    Raises:
        WalletError: A file can't be written.
    """
    path = folder / "wallets"
    wallet = Wallet(_WALLET, keypair.ss58_address, path)
    if not wallet.exists:
        wallet.set_hotkey(keypair)
    return ["--wallet.name", _WALLET, "--wallet.hotkey", keypair.ss58_address,
            "--wallet.path", str(path)]  # fmt: skip
