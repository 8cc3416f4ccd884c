"""Where the password of a key file comes from.

In this order: what the program gave (a text or a callable); the variable of that one file,
`BT_PW_<PATH>`, as `bittensor` saves it; `GANGLION_WALLET_PASSWORD`; `BT_WALLET_PASSWORD`, as SDK
11 has it; a prompt without echo when standard input is a terminal.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import os
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from node import errors

__all__ = ["PASSWORD_VARIABLE", "PasswordSource", "ask_password", "find_password"]

PasswordSource = str | Callable[[], str] | None

PASSWORD_VARIABLE = "GANGLION_WALLET_PASSWORD"  # noqa: S105 - the name of a variable
_PLAIN_VARIABLES = (PASSWORD_VARIABLE, "BT_WALLET_PASSWORD")


def find_password(source: PasswordSource, path: Path, *, new: bool = False) -> str:
    """The password for one key file.

    Args:
        source: A text, a callable that is called now, or None to look further.
        path: The key file, for the prompt and for the name of its own variable.
        new: Whether the password is chosen now, so that a prompt asks for it twice.

    Raises:
        WalletError: Nothing gives one, it is empty, or the two typed differ.
    """
    if source is not None:
        password = source if isinstance(source, str) else source()
    else:
        password = _from_environment(path) or ask_password(path, new=new)
    if not password:
        raise errors.WalletError(f"the password for {path} is empty")
    return password


def ask_password(path: Path, *, new: bool = False) -> str:
    """Ask on the terminal, without echo.

    Raises:
        WalletError: Standard input is no terminal or ended, or the two typed differ.
    """
    if not sys.stdin.isatty():
        wanted = "is to be encrypted" if new else "is encrypted"
        raise errors.WalletError(
            f"{path} {wanted} and no password was given: set {PASSWORD_VARIABLE}, "
            "or run this in a terminal to be asked" + (", or pass --no_password" if new else "")
        )
    try:
        password = getpass.getpass(f"{'New password' if new else 'Password'} for {path}: ")
        if new and getpass.getpass("The same again: ") != password:
            raise errors.WalletError("the two passwords differ, so nothing was written")
    except EOFError:
        raise errors.WalletError(f"no password was typed for {path}") from None
    return password


def _from_environment(path: Path) -> str | None:
    name = "BT_PW_" + str(path).replace(os.sep, "_").replace(".", "_").upper()
    if veiled := os.environ.get(name):
        return _unveil(veiled, name)
    return next((os.environ[plain] for plain in _PLAIN_VARIABLES if os.environ.get(plain)), None)


def _unveil(veiled: str, name: str) -> str:
    """Undo what `bittensor` does to a password before it saves it: XOR with the name, base64."""
    try:
        raw = base64.b64decode(veiled.strip(), validate=True)
        return bytes(a ^ b for a, b in zip(raw, cycle(name.encode()), strict=False)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise errors.WalletError(
            f"{name} is not a password as bittensor saves it; "
            f"put a plain password into {PASSWORD_VARIABLE} instead"
        ) from None
