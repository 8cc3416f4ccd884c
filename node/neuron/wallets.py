"""The wallet that the settings name, as a program opens it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from node.keys import Wallet

from .config import Config

__all__ = ["open_wallet"]


def open_wallet(config: Config) -> Wallet:
    """Returns the wallet of `wallet.*`, its hotkey loaded; asks for a password where it must.

    With `--no_prompt` a password comes from the environment or not at all.

    Raises:
        WalletError: The hotkey can't be read; the text says what to do.
    """
    wallet = Wallet(
        name=config["wallet.name"], hotkey=config["wallet.hotkey"], path=config["wallet.path"]
    )
    with _terminal_hidden() if config["no_prompt"] else nullcontext():
        _ = wallet.hotkey  # read now, so that what is wrong with it comes before all else
    return wallet


@contextmanager
def _terminal_hidden() -> Iterator[None]:
    """Makes an encrypted key an error and not a question."""
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before
