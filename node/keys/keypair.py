"""A keypair of either scheme, or the public half of one.

A secret leaves a `Keypair` through `secret` only: not through its repr, its errors or pickle.
One native key object is made per keypair and kept, because making it costs as much as signing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Never

from node import errors

from .native import bittensor_core, has_bittensor_core
from .signatures import SCHEMES, verify_signature
from .ss58 import ss58_decode, ss58_encode

__all__ = ["Keypair", "Secret", "check_scheme", "verify_signature"]

SEED_BYTES = 32

_CRYPTO_TYPE = {"ed25519": 0, "sr25519": 1}
_MNEMONIC_WORDS = 12


@dataclass(frozen=True, slots=True)
class Secret:
    """The secret half of a keypair, with what it was made from where that is known.

    Attributes:
        private_key: sr25519: 64 bytes, scalar and nonce. ed25519: the 32-byte seed.
        seed: The 32-byte seed, or None for a key made from a URI or a bare private key.
        phrase: The mnemonic, or None for a key that was not made from one.
    """

    private_key: bytes = field(repr=False)
    seed: bytes | None = field(default=None, repr=False)
    phrase: str | None = field(default=None, repr=False)

    def __reduce__(self) -> Never:
        raise TypeError("a Secret can't be pickled")


class Keypair:
    """An sr25519 or ed25519 keypair, or only its public half. Immutable, safe across threads.

    Made by the class methods. Two keypairs are equal when scheme and public key are, whether or
    not they can sign.

    Args:
        public_key: 32 bytes.
        scheme: `sr25519` or `ed25519`.
        signer: Signs a message, or None for a public half.
        secret: What `signer` signs with.

    Attributes:
        public_key: 32 bytes, the identity.
        scheme: As given.
        ss58_address: The address with prefix 42.

    Raises:
        InvalidAddress: `public_key` is not 32 bytes.
        WalletError: Unknown scheme.
    """

    __slots__ = ("_secret", "_signer", "public_key", "scheme", "ss58_address")

    public_key: bytes
    scheme: str
    ss58_address: str
    _signer: Callable[[bytes], bytes] | None
    _secret: Secret | None

    def __init__(
        self,
        public_key: bytes,
        scheme: str = "sr25519",
        *,
        signer: Callable[[bytes], bytes] | None = None,
        secret: Secret | None = None,
    ) -> None:
        put = super().__setattr__
        put("scheme", check_scheme(scheme))
        put("ss58_address", ss58_encode(public_key))
        put("public_key", public_key)
        put("_signer", signer)
        put("_secret", secret)

    @classmethod
    def generate(cls, scheme: str = "sr25519") -> Keypair:
        """A new random keypair, with a mnemonic of 12 words.

        Where `bittensor_core` is missing an ed25519 keypair is made from a random seed instead,
        and has no mnemonic.

        Raises:
            WalletError: Unknown scheme, or sr25519 without `bittensor_core`.
        """
        if check_scheme(scheme) == "ed25519" and not has_bittensor_core():
            return cls.from_seed(secrets.token_bytes(SEED_BYTES), scheme)
        phrase = bittensor_core().Keypair.generate_mnemonic(_MNEMONIC_WORDS)
        return cls.from_mnemonic(phrase, scheme)

    @classmethod
    def from_seed(cls, seed: bytes, scheme: str = "sr25519") -> Keypair:
        """The keypair of a 32-byte seed (sr25519: a schnorrkel mini-secret).

        Raises:
            InvalidSecret: The seed is not 32 bytes.
            WalletError: Unknown scheme, or sr25519 without `bittensor_core`.
        """
        if not isinstance(seed, bytes) or len(seed) != SEED_BYTES:
            raise errors.InvalidSecret(f"a seed is {SEED_BYTES} bytes, 64 hex digits")
        if check_scheme(scheme) == "ed25519":
            return cls._of_ed25519(Secret(private_key=seed, seed=seed))
        return cls._of_native("seed", "from_seed", seed, scheme)

    @classmethod
    def from_mnemonic(cls, text: str, scheme: str = "sr25519") -> Keypair:
        """The keypair of a BIP-39 phrase in English, as substrate derives it.

        Case and the amount of white space do not matter. A password on top of the phrase is
        given as a URI: `from_uri("PHRASE///PASSWORD")`.

        Raises:
            InvalidSecret: Not a phrase of known words with a good checksum.
            WalletError: Unknown scheme, or no `bittensor_core`.
        """
        phrase = " ".join(text.lower().split())
        return cls._of_native("mnemonic phrase", "from_mnemonic", phrase, scheme)

    @classmethod
    def from_uri(cls, uri: str, scheme: str = "sr25519") -> Keypair:
        """The keypair of a substrate secret URI: `[PHRASE or 0xSEED][//hard][/soft][///password]`.

        Without a phrase or seed, as in `//Alice`, the public development phrase is used:
        everybody has that key. ed25519 knows no soft derivation.

        Raises:
            InvalidSecret: Not a secret URI, or an empty one.
            WalletError: Unknown scheme, or no `bittensor_core`.
        """
        if not uri.strip():
            # The native code would take the development phrase itself.
            raise errors.InvalidSecret("the secret URI is empty")
        return cls._of_native("secret URI", "from_uri", uri, scheme)

    @classmethod
    def from_private_key(cls, private_key: bytes, scheme: str = "sr25519") -> Keypair:
        """The keypair of an expanded private key: sr25519 64 bytes, ed25519 32 (its seed).

        Raises:
            InvalidSecret: A wrong length, or no valid scalar.
            WalletError: Unknown scheme, or sr25519 without `bittensor_core`.
        """
        if check_scheme(scheme) == "ed25519":
            if len(private_key) != SEED_BYTES:
                raise errors.InvalidSecret("an ed25519 private key is 32 bytes")
            return cls._of_ed25519(Secret(private_key=private_key))
        if len(private_key) != 2 * SEED_BYTES:
            raise errors.InvalidSecret("an sr25519 private key is 64 bytes")
        key = "0x" + private_key.hex()
        return cls._of_native("private key", "create_from_private_key", key, scheme)

    @classmethod
    def from_address(cls, ss58: str, scheme: str = "sr25519") -> Keypair:
        """The public half only, from an address with any prefix.

        Raises:
            InvalidAddress: Not an SS58 address.
            WalletError: Unknown scheme.
        """
        return cls(ss58_decode(ss58), scheme)

    @property
    def can_sign(self) -> bool:
        """Whether the secret half is here."""
        return self._signer is not None

    @property
    def secret(self) -> Secret:
        """The secret half, for whoever writes a key file.

        Raises:
            WalletError: There is only the public half.
        """
        if self._secret is None:
            raise errors.WalletError(f"only the public half of {self.ss58_address} is here")
        return self._secret

    def public_half(self) -> Keypair:
        """The same key without its secret."""
        return Keypair(self.public_key, self.scheme)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message. sr25519 signatures differ each time.

        Raises:
            WalletError: There is only the public half.
            TypeError: `message` is not bytes.
        """
        if self._signer is None:
            raise errors.WalletError(
                f"{self.ss58_address} can't sign: only the public half of the key is here"
            )
        if not isinstance(message, bytes):
            raise TypeError(f"a message to sign is bytes, not {type(message).__name__}")
        return self._signer(message)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check that this key signed exactly `message`.

        Raises:
            BadSignature: It did not.
        """
        verify_signature(self.scheme, self.public_key, message, signature)

    @classmethod
    def _of_ed25519(cls, secret: Secret) -> Keypair:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        native = Ed25519PrivateKey.from_private_bytes(secret.private_key)
        public_key = native.public_key().public_bytes_raw()
        return cls(public_key, "ed25519", signer=native.sign, secret=secret)

    @classmethod
    def _of_native(cls, what: str, constructor: str, source: bytes | str, scheme: str) -> Keypair:
        """Derive with `bittensor_core`; the border where its errors are translated."""
        crypto_type = _CRYPTO_TYPE[check_scheme(scheme)]
        core = bittensor_core()
        try:
            native = getattr(core.Keypair, constructor)(source, crypto_type)
        except (ValueError, TypeError):
            # The cause is left out: what it quotes is not ours to decide.
            raise errors.InvalidSecret(f"this is not a valid {what} for {scheme}") from None
        secret = _parse_secret(core.serialized_keypair_to_keyfile_data(native))
        if scheme == "ed25519":
            return cls._of_ed25519(secret)
        return cls(native.public_key, scheme, signer=native.sign, secret=secret)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Keypair is immutable; {name!r} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Keypair is immutable; {name!r} can't be deleted")

    def __repr__(self) -> str:
        return f"<Keypair {self.ss58_address} {self.scheme}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Keypair):
            return NotImplemented
        return (self.scheme, self.public_key) == (other.scheme, other.public_key)

    def __hash__(self) -> int:
        return hash((self.scheme, self.public_key))

    def __copy__(self) -> Keypair:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Keypair:
        return self

    def __reduce__(self) -> Never:
        raise TypeError("a Keypair can't be pickled; pass the wallet's name and load it there")


def check_scheme(scheme: str) -> str:
    """Return the scheme as given.

    Raises:
        WalletError: It is neither `sr25519` nor `ed25519`.
    """
    if scheme not in SCHEMES:
        raise errors.WalletError(f"unknown key scheme {scheme!r}; use {' or '.join(SCHEMES)}")
    return scheme


def _parse_secret(keyfile_data: bytes) -> Secret:
    """What `bittensor_core` knows of a keypair; its key file format is its only way out."""
    record = json.loads(keyfile_data)
    seed = record.get("secretSeed")
    return Secret(
        private_key=bytes.fromhex(record["privateKey"].removeprefix("0x")),
        seed=bytes.fromhex(seed.removeprefix("0x")) if seed else None,
        phrase=record.get("secretPhrase"),
    )
