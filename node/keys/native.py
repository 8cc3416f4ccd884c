"""The one place that imports `bittensor_core`, the chain's own key code.

It has wheels for Linux and macOS only. Whatever works without it, ed25519 from a seed and the
verification of both schemes, must not import it.
"""

from __future__ import annotations

from typing import Any

from node import errors

__all__ = ["bittensor_core", "has_bittensor_core"]


def bittensor_core() -> Any:
    """The module `bittensor_core`.

    Raises:
        WalletError: It is not installed.
    """
    try:
        import bittensor_core as core
    except ImportError as error:
        raise errors.WalletError(
            "this key needs the package bittensor-core, which is not installed (it has no "
            "Windows wheel: use Linux, macOS or WSL, or an ed25519 key made from a seed)"
        ) from error
    return core


def has_bittensor_core() -> bool:
    """Whether `bittensor_core` is installed."""
    try:
        bittensor_core()
    except errors.WalletError:
        return False
    return True
