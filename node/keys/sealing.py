"""Key files under a password, in the formats that Bittensor wallets have used (WIRE.md §6).

`$NACL` is written and read; the older `$ANSIBLE_VAULT` and Fernet are read. The password's key
derivation takes a second or two and, for `$NACL`, 512 MiB of memory, and it holds the
interpreter: open key files before a node serves, not on a running event loop.
"""

from __future__ import annotations

from node import errors

from .native import bittensor_core

__all__ = ["is_sealed", "seal", "unseal"]

_NACL = b"$NACL"
_SEALS = (_NACL, b"$ANSIBLE_VAULT", b"gAAAAA")
# Tag, 24-byte nonce, 16-byte authenticator.
_NACL_MIN_BYTES = len(_NACL) + 24 + 16


def is_sealed(data: bytes) -> bool:
    """Whether these bytes of a key file need a password."""
    return data.startswith(_SEALS)


def seal(data: bytes, password: str) -> bytes:
    """Encrypt the plain text of a key file, as `$NACL`.

    Raises:
        WalletError: The password is empty, `bittensor_core` is missing, or memory is short.
    """
    if not password:
        raise errors.WalletError("a key file can't be encrypted with an empty password")
    core = bittensor_core()
    try:
        return bytes(core.encrypt_keyfile_data(data, password))
    except core.KeyfileError:
        raise errors.WalletError(_NO_MEMORY) from None


def unseal(data: bytes, password: str) -> bytes:
    """Decrypt the bytes of a key file.

    Raises:
        WrongPassword: The password does not open it. (Damage inside the encrypted part looks
            the same.)
        CorruptKeyfile: It is cut short or not in a known format.
        WalletError: `bittensor_core` is missing, or memory is short.
    """
    is_nacl = data.startswith(_NACL)
    if is_nacl and len(data) < _NACL_MIN_BYTES:
        raise errors.CorruptKeyfile("it is cut short")
    core = bittensor_core()
    try:
        return bytes(core.decrypt_keyfile_data(data, password))
    except core.WrongPasswordError:
        raise errors.WrongPassword("the password is wrong") from None
    except core.KeyfileError:
        if is_nacl:  # all else that can go wrong there was checked above
            raise errors.WalletError(_NO_MEMORY) from None
        raise errors.CorruptKeyfile("its encryption is in no known format") from None


_NO_MEMORY = "the key file's encryption could not run; it takes 512 MiB of free memory"
