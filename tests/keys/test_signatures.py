from __future__ import annotations

import itertools

import pytest
import sr25519
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from node import errors
from node.keys import SCHEMES, Keypair, verify_signature
from node.keys import signatures as module

KEYS = {scheme: Keypair.from_seed(bytes(range(32)), scheme) for scheme in SCHEMES}
MESSAGE = b"btauth/1\nmessage"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_signature_is_good_for_its_message_key_and_scheme_only(scheme: str) -> None:
    keypair = KEYS[scheme]
    signature = keypair.sign(MESSAGE)
    assert len(signature) == 64
    verify_signature(scheme, keypair.public_key, MESSAGE, signature)
    other_scheme = SCHEMES[1 - SCHEMES.index(scheme)]
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    for refused in (
        (scheme, keypair.public_key, MESSAGE + b"x", signature),
        (scheme, keypair.public_key, b"", signature),
        (scheme, keypair.public_key, MESSAGE, flipped),
        (scheme, KEYS[other_scheme].public_key, MESSAGE, signature),
        (other_scheme, keypair.public_key, MESSAGE, signature),
        ("ecdsa", keypair.public_key, MESSAGE, signature),
        ("", keypair.public_key, MESSAGE, signature),
    ):
        with pytest.raises(errors.BadSignature):
            verify_signature(*refused)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_signature_over_the_wrapped_message_is_refused(scheme: str) -> None:
    keypair = KEYS[scheme]
    wrapped = keypair.sign(b"<Bytes>" + MESSAGE + b"</Bytes>")
    with pytest.raises(errors.BadSignature):
        verify_signature(scheme, keypair.public_key, MESSAGE, wrapped)
    # And the other way round: a wrapped message is a message like any other.
    bare = keypair.sign(MESSAGE)
    with pytest.raises(errors.BadSignature):
        keypair.verify(b"<Bytes>" + MESSAGE + b"</Bytes>", bare)
    keypair.verify(b"<Bytes>" + MESSAGE + b"</Bytes>", wrapped)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("message", [b"", b"0x1234", b"\xff\x00\xfe", bytes(100_000)])
def test_a_message_is_its_bytes_and_nothing_else(scheme: str, message: bytes) -> None:
    keypair = KEYS[scheme]
    keypair.verify(message, keypair.sign(message))
    if message == b"0x1234":
        with pytest.raises(errors.BadSignature):
            keypair.verify(b"\x12\x34", keypair.sign(message))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_wrong_lengths_are_bad_signatures(scheme: str, length: int) -> None:
    keypair = KEYS[scheme]
    with pytest.raises(errors.BadSignature, match="64 bytes"):
        verify_signature(scheme, keypair.public_key, MESSAGE, bytes(length))
    with pytest.raises(errors.BadSignature, match="64 bytes"):
        verify_signature(scheme, bytes(length), MESSAGE, keypair.sign(MESSAGE))


@settings(max_examples=200)
@given(st.sampled_from(SCHEMES), st.binary(min_size=32, max_size=32), st.binary(max_size=80))
def test_junk_is_a_bad_signature_and_no_other_error(
    scheme: str, public_key: bytes, signature: bytes
) -> None:
    for junk in (signature, signature.ljust(64, b"\x80")):
        with pytest.raises(errors.BadSignature):
            verify_signature(scheme, public_key, MESSAGE, junk)


def test_the_zero_sr25519_key_signs_for_nobody() -> None:
    nobody = Keypair.from_private_key(bytes(64))
    assert nobody.public_key == bytes(32)
    signature = nobody.sign(MESSAGE)
    assert sr25519.verify(signature, MESSAGE, bytes(32)), "the library itself would take it"
    with pytest.raises(errors.BadSignature):
        verify_signature("sr25519", bytes(32), MESSAGE, signature)


def forge(public_key: bytes) -> tuple[bytes, bytes] | None:
    """A message and a signature that OpenSSL takes for this key, made without a secret."""
    native = Ed25519PublicKey.from_public_bytes(public_key)
    for number, commitment in itertools.product(range(64), sorted(module._WEAK_ED25519)):
        message, signature = bytes([number]), commitment + bytes(32)
        try:
            native.verify(signature, message)
        except InvalidSignature:
            continue
        return message, signature
    return None


@pytest.mark.parametrize("public_key", sorted(module._WEAK_ED25519), ids=lambda key: key.hex()[:8])
def test_small_order_ed25519_keys_sign_for_nobody(public_key: bytes) -> None:
    forged = forge(public_key)
    assert forged is not None, "not a weak key: it does not belong in the list"
    with pytest.raises(errors.BadSignature):
        verify_signature("ed25519", public_key, *forged)


def test_public_key_objects_are_kept_in_a_bounded_number() -> None:
    module._ed25519_public_key.cache_clear()
    for _ in range(3):
        KEYS["ed25519"].verify(MESSAGE, KEYS["ed25519"].sign(MESSAGE))
    info = module._ed25519_public_key.cache_info()
    assert (info.misses, info.hits) == (1, 2)
    assert info.maxsize is not None
