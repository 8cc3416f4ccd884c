"""Keys and wallets with the spellings of SDK 6-10.

They wrap the library's own and don't subclass them: here `verify` returns a bool, there it returns
nothing or raises, and code that expects the one must never get the other.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any, NoReturn

from node import errors, keys
from node.keys.passwords import PasswordSource, find_password

from .settings import COMMAND_LINE, Config, add_group, check_group, defaults, setting

__all__ = ["Keypair", "Wallet", "as_signer", "as_wallet"]

logger = logging.getLogger(__name__)

_SCHEMES = {0: "ed25519", 1: "sr25519"}


class Keypair:
    """A keypair, or the public half of one.

    Args:
        ss58_address: Address with any prefix, for a public half.
        public_key: 32 bytes or their hex, for a public half.
        private_key: 64 bytes (ed25519: 32) or their hex.
        ss58_format: Accepted and not used; addresses here have prefix 42.
        seed_hex: 32 bytes or their hex.
        crypto_type: 1 for sr25519, 0 for ed25519.

    Attributes:
        native: The same key as this library's own class.

    Raises:
        ValueError: Nothing is given, or what is given is no key; `InvalidAddress` and
            `InvalidSecret` are such errors.
    """

    def __init__(
        self,
        ss58_address: str | None = None,
        public_key: bytes | str | None = None,
        private_key: bytes | str | None = None,
        ss58_format: int = 42,
        seed_hex: bytes | str | None = None,
        crypto_type: int = 1,
    ) -> None:
        scheme = _scheme(crypto_type)
        if private_key is not None:
            self.native = keys.Keypair.from_private_key(_as_bytes(private_key), scheme)
        elif seed_hex is not None:
            self.native = keys.Keypair.from_seed(_as_bytes(seed_hex), scheme)
        elif public_key is not None:
            self.native = keys.Keypair(_as_bytes(public_key), scheme)
        elif ss58_address is not None:
            self.native = keys.Keypair.from_address(ss58_address, scheme)
        else:
            raise ValueError("a Keypair needs an address, a public key, a private key or a seed")

    @classmethod
    def of(cls, native: keys.Keypair) -> Keypair:
        """Return one of the library's own keypairs in this form."""
        keypair = cls.__new__(cls)
        keypair.native = native
        return keypair

    @classmethod
    def create_from_mnemonic(cls, mnemonic: str, *_: Any, crypto_type: int = 1) -> Keypair:
        """Return the keypair of a phrase.

        Raises:
            InvalidSecret: It is no phrase.
        """
        return cls.of(keys.Keypair.from_mnemonic(mnemonic, _scheme(crypto_type)))

    @classmethod
    def create_from_seed(cls, seed_hex: bytes | str, *_: Any, crypto_type: int = 1) -> Keypair:
        """Return the keypair of a seed of 32 bytes, or their hex.

        Raises:
            InvalidSecret: It is no seed.
        """
        return cls(seed_hex=seed_hex, crypto_type=crypto_type)

    @classmethod
    def create_from_private_key(
        cls, private_key: bytes | str, *_: Any, crypto_type: int = 1, **__: Any
    ) -> Keypair:
        """Return the keypair of a private key.

        Raises:
            InvalidSecret: It is none.
        """
        return cls(private_key=private_key, crypto_type=crypto_type)

    @classmethod
    def create_from_uri(cls, suri: str, *_: Any, crypto_type: int = 1) -> Keypair:
        """Return the keypair of a secret URI such as `//Alice`.

        Raises:
            InvalidSecret: It is none.
        """
        return cls.of(keys.Keypair.from_uri(suri, _scheme(crypto_type)))

    @property
    def ss58_address(self) -> str:
        """The address, with prefix 42."""
        return self.native.ss58_address

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self.native.public_key

    @property
    def ss58_format(self) -> int:
        """The prefix of the address, 42."""
        return 42

    @property
    def crypto_type(self) -> int:
        """1 for sr25519, 0 for ed25519."""
        return 1 if self.native.scheme == "sr25519" else 0

    def sign(self, data: bytes | str) -> bytes:
        """Return the 64-byte signature of bytes or text; text that starts with 0x is hex.

        Raises:
            WalletError: There is only the public half.
        """
        return self.native.sign(_message(data))

    def verify(self, data: bytes | str, signature: bytes | str) -> bool:
        """Tell whether this key signed exactly `data`.

        Args:
            data: As for `sign`.
            signature: 64 bytes, or their hex after `0x`. What is no signature is a wrong one.
        """
        try:
            self.native.verify(_message(data), _as_bytes(signature))
        except (errors.BadSignature, ValueError):
            return False
        return True

    def __repr__(self) -> str:
        return f"<Keypair (address={self.ss58_address})>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keypair) and self.native == other.native

    def __hash__(self) -> int:
        return hash(self.native)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keypair can't be pickled; pass the wallet's name and load it there")

    def __deepcopy__(self, memo: dict[int, Any]) -> Keypair:
        return self


class Wallet:
    """A wallet of key files.

    Args:
        name: Folder of the coldkey; the config's, or `default` unless the environment has another.
        hotkey: Name of the hotkey; likewise.
        path: Folder of all wallets; likewise `~/.bittensor/wallets`.
        config: Where `wallet.name`, `wallet.hotkey` and `wallet.path` are read, if not given.

    Attributes:
        native: The same wallet as this library's own class.

    Raises:
        WalletError: A name could lead out of its folder.
    """

    def __init__(
        self,
        name: str | None = None,
        hotkey: str | None = None,
        path: str | Path | None = None,
        config: Any = None,
    ) -> None:
        COMMAND_LINE.check()
        self.native = keys.Wallet(
            name or _choice(config, "wallet.name"),
            hotkey or _choice(config, "wallet.hotkey"),
            path or _choice(config, "wallet.path"),
        )

    @classmethod
    def of(cls, native: keys.Wallet) -> Wallet:
        """Return one of the library's own wallets in this form."""
        wallet = cls.__new__(cls)
        wallet.native = native
        return wallet

    @classmethod
    def add_args(cls, parser: argparse.ArgumentParser, prefix: str | None = None) -> None:
        """Add `--wallet.name`, `--wallet.hotkey` and `--wallet.path` to a parser."""
        add_group(parser, "wallet", prefix)

    @classmethod
    def check_config(cls, config: Config) -> None:
        """Check that a config has wallet settings.

        Raises:
            ConfigError: It has none.
        """
        check_group(config, "wallet")

    @property
    def name(self) -> str:
        """The wallet's folder."""
        return self.native.name

    @property
    def hotkey_str(self) -> str:
        """The hotkey's name."""
        return self.native.hotkey_name

    @property
    def path(self) -> str:
        """The folder of all wallets."""
        return str(self.native.path)

    @property
    def hotkey(self) -> Keypair:
        """The key that signs; raises as `node.Wallet.hotkey`."""
        return Keypair.of(self.native.hotkey)

    @property
    def hotkeypub(self) -> Keypair:
        """Its public half; raises as `node.Wallet.hotkeypub`."""
        return Keypair.of(self.native.hotkeypub)

    @property
    def coldkey(self) -> Keypair:
        """The owner's key; raises as `node.Wallet.coldkey`."""
        return Keypair.of(self.native.coldkey)

    @property
    def coldkeypub(self) -> Keypair:
        """Its public half; raises as `node.Wallet.coldkeypub`."""
        return Keypair.of(self.native.coldkeypub)

    def get_hotkey(self) -> Keypair:
        """Return `hotkey`."""
        return self.hotkey

    def get_coldkey(self) -> Keypair:
        """Return `coldkey`."""
        return self.coldkey

    def get_coldkeypub(self) -> Keypair:
        """Return `coldkeypub`."""
        return self.coldkeypub

    def unlock_hotkey(self) -> Keypair:
        """Load the hotkey, asking for its password where it has one, and return it."""
        return self.hotkey

    def unlock_coldkey(self) -> Keypair:
        """Load the coldkey, asking for its password where it has one, and return it."""
        return self.coldkey

    def create_if_non_existent(
        self,
        coldkey_use_password: bool = True,
        hotkey_use_password: bool = False,
        *,
        coldkey_password: str | None = None,
        hotkey_password: str | None = None,
        suppress: bool = False,
    ) -> Wallet:
        """Make the hotkey and the coldkey, each unless it is there. Returns the wallet.

        A password that is wanted and not given comes from the environment or the terminal, as
        everywhere (`node.keys.passwords`). Where neither gives one the file is written plain, and
        the log says so.

        Args:
            coldkey_use_password: Whether to encrypt a new coldkey.
            hotkey_use_password: Whether to encrypt a new hotkey.
            coldkey_password: What to encrypt it with.
            hotkey_password: What to encrypt it with.
            suppress: Accepted and not used; phrases are never printed.

        Raises:
            WalletError: A file can't be written, or two passwords that were typed differ.
        """
        wallet = self.native
        if not wallet.has_coldkey:
            password = _password(coldkey_use_password, coldkey_password, wallet.coldkey_path)
            wallet.set_coldkey(keys.Keypair.generate(), password=password)
        if not wallet.exists:
            password = _password(hotkey_use_password, hotkey_password, wallet.hotkey_path)
            wallet.set_hotkey(keys.Keypair.generate(), password=password)
        return self

    create = create_if_non_existent

    def __str__(self) -> str:
        return f"Wallet (Name: '{self.name}', Hotkey: '{self.hotkey_str}', Path: '{self.path}')"

    def __repr__(self) -> str:
        return f"<{self}>"


def as_signer(wallet: Any) -> keys.Keypair:
    """Return the key that signs, of a wallet or a keypair in this form or the library's own.

    Raises:
        WalletError: It can't be loaded or can't sign.
        TypeError: It is none of them.
    """
    return keys.signer_of(as_wallet(wallet))


def as_wallet(wallet: Any) -> keys.Wallet | keys.Keypair:
    """Return a wallet or keypair as the library's own class.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(wallet, Wallet | Keypair):
        return wallet.native
    if isinstance(wallet, keys.Wallet | keys.Keypair):
        return wallet
    raise TypeError(f"a Wallet or a Keypair is needed, not {type(wallet).__name__}")


def _choice(config: Any, name: str) -> str:
    chosen = setting(config, name) if config is not None else None
    return str(chosen or setting(defaults(), name))


def _password(wanted: bool, given: str | None, path: Path) -> PasswordSource:
    if given or not wanted:
        return given or None
    try:
        return find_password(None, path, new=True)
    except errors.WalletError:
        if sys.stdin.isatty():
            raise
        logger.warning("%s is written without a password: there is nobody to ask for one", path)
        return None


def _scheme(crypto_type: int) -> str:
    if crypto_type not in _SCHEMES:
        raise ValueError(f"a crypto type is 1 for sr25519 or 0 for ed25519, not {crypto_type!r}")
    return _SCHEMES[crypto_type]


def _as_bytes(value: bytes | str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)


def _message(data: bytes | str) -> bytes:
    if isinstance(data, str):
        return bytes.fromhex(data[2:]) if data.startswith("0x") else data.encode()
    return bytes(data)
