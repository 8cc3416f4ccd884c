"""`btauth/1`: the signed request headers of Bittensor 11 (WIRE.md §1).

Signed are the scheme, method, target, body digest, nonce, sender and receiver. Not signed are
Host and all other headers, so nothing here reads them.

The check has stages, cheap before costly, which an axon runs one by one and `verify` runs at once:
`parse_claim` (header shape), `check_receiver`, `check_fresh`, `prove` (signature, then replay).
A `Claim` is what headers say; only `prove` turns one into a `Caller`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from node.errors import (
    BadSignature,
    ConfigError,
    InvalidAddress,
    MissingSignature,
    StaleRequest,
    WrongReceiver,
)
from node.keys.keypair import Keypair
from node.keys.signatures import verify_signature
from node.keys.ss58 import ss58_decode

from .caller import Caller, make_caller
from .replay import ReplayGuard
from .signed import SignedRequest

__all__ = [
    "ALLOWED_SKEW_S",
    "MAX_AGE_S",
    "PROTOCOL",
    "Claim",
    "check_fresh",
    "check_receiver",
    "parse_claim",
    "prove",
    "sign",
    "sign_digest",
    "signed_payload",
    "verify",
]

PROTOCOL = "btauth"
MAX_AGE_S = 10.0
ALLOWED_SKEW_S = 2.0

_VERSION = "1"
_PREFIX = "x-bittensor-"
_NO_RECEIVER = "-"
_SECOND_NS = 1_000_000_000
_MAX_NONCE_TEXT = 64
# As nearly every signer spells them; a look-up takes a third of what comparing them takes.
_USUAL_NAMES = {
    f"X-Bittensor-{name}": name.lower()
    for name in ("Version", "Hotkey", "Nonce", "Signature", "Crypto", "Receiver")
}
# What nearly every request has beside them, and is not looked at.
_OTHER_NAMES = frozenset(
    {"Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length"}
)
_SCHEMES = {"sr25519": "sr25519", "ed25519": "ed25519", "1": "sr25519", "0": "ed25519"}


class Claim(NamedTuple):
    """What the headers of a request say about its sender; nothing of it is proved.

    Attributes:
        sender: The address as written, which is part of what is signed.
        public_key: The 32-byte key of `sender`.
        scheme: `sr25519` or `ed25519`.
        nonce_ns: The sender's clock, Unix nanoseconds.
        signature: 64 bytes.
        receiver: The address that the request is meant for, or None when it names none.
    """

    sender: str
    public_key: bytes
    scheme: str
    nonce_ns: int
    signature: bytes
    receiver: str | None


def signed_payload(
    *,
    scheme: str,
    method: str,
    target: str,
    digest: bytes,
    nonce_ns: int,
    sender: str,
    receiver: str | None,
) -> bytes:
    """Return the exact bytes that are signed (WIRE.md §1.2).

    Args:
        scheme: `sr25519` or `ed25519`.
        method: HTTP method, in any case.
        target: Path and query as sent. Bytes that are not UTF-8 come as surrogate escapes and
            are signed as they were.
        digest: SHA-256 of the body, 32 bytes.
        nonce_ns: Unix nanoseconds.
        sender: Sender's address as written.
        receiver: Receiver's address as written, or None.
    """
    lines = (
        "btauth/1",
        scheme,
        method.upper(),
        target,
        digest.hex(),
        str(nonce_ns),
        sender,
        receiver or _NO_RECEIVER,
    )
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def sign(
    keypair: Keypair,
    *,
    method: str,
    target: str,
    body: bytes,
    receiver: str | None,
    nonce_ns: int,
) -> dict[str, str]:
    """Return the headers that prove `keypair` sent this request.

    Args:
        keypair: The sender's hotkey.
        method: HTTP method.
        target: Path and query exactly as the client will send them.
        body: The raw body.
        receiver: The receiving node's address; None signs for nobody, which receivers refuse
            unless they were told not to.
        nonce_ns: Unix nanoseconds, never used twice by this key.

    Raises:
        WalletError: `keypair` holds no secret.
    """
    return sign_digest(
        keypair,
        method=method,
        target=target,
        digest=hashlib.sha256(body).digest(),
        receiver=receiver,
        nonce_ns=nonce_ns,
    ).headers


def sign_digest(
    keypair: Keypair,
    *,
    method: str,
    target: str,
    digest: bytes,
    receiver: str | None,
    nonce_ns: int,
) -> SignedRequest:
    """As `sign`, from the body's SHA-256, which a fan-out takes once for all its peers."""
    payload = signed_payload(
        scheme=keypair.scheme,
        method=method,
        target=target,
        digest=digest,
        nonce_ns=nonce_ns,
        sender=keypair.ss58_address,
        receiver=receiver,
    )
    headers = {
        "X-Bittensor-Version": _VERSION,
        "X-Bittensor-Hotkey": keypair.ss58_address,
        "X-Bittensor-Nonce": str(nonce_ns),
        "X-Bittensor-Signature": "0x" + keypair.sign(payload).hex(),
    }
    if keypair.scheme != "sr25519":
        headers["X-Bittensor-Crypto"] = keypair.scheme
    if receiver is not None:
        headers["X-Bittensor-Receiver"] = receiver
    return SignedRequest(headers, payload)


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str,
    target: str,
    receiver: str,
    now_ns: int,
    guard: ReplayGuard | None = None,
    max_age_s: float = MAX_AGE_S,
    allowed_skew_s: float = ALLOWED_SKEW_S,
    require_receiver: bool = True,
) -> Caller:
    """Return who sent the request, or raise.

    Args:
        headers: Request headers, names in any case.
        body: The raw body as received.
        method: HTTP method as received.
        target: Path and query as received, not normalised.
        receiver: This node's own address, prefix 42.
        now_ns: This node's clock, Unix nanoseconds.
        guard: The replay memory; None checks no replay, for callers that do it themselves.
        max_age_s: How old a request may be; exactly that old still passes.
        allowed_skew_s: How far ahead its clock may be; exactly that far still passes.
        require_receiver: Whether a request that names no receiver is refused.

    Raises:
        MissingSignature: A needed header is absent.
        BadSignature: A header is malformed, appears twice, or the signature does not hold.
        WrongReceiver: The request is for another node, or for none.
        StaleRequest: Its nonce is outside the window.
        ReplayedRequest: Its nonce was accepted before.
        Overloaded: The replay memory is full.
        ConfigError: The guard remembers for less time than the window lasts.
    """
    claim = parse_claim(headers)
    check_receiver(claim, receiver, require_receiver=require_receiver)
    check_fresh(claim, now_ns, max_age_s=max_age_s, allowed_skew_s=allowed_skew_s)
    if guard is not None and guard.window_s < max(max_age_s, allowed_skew_s):
        raise ConfigError(
            f"the replay guard remembers for {guard.window_s:g} s, less than the window of "
            f"{max(max_age_s, allowed_skew_s):g} s; give it a window_s at least that long"
        )
    digest = hashlib.sha256(body).digest()
    return prove(claim, method=method, target=target, digest=digest, now_ns=now_ns, guard=guard)


def parse_claim(headers: Mapping[str, str]) -> Claim:
    """Read the signing headers (WIRE.md §1.3 step 1, spellings of §1.4).

    Raises:
        MissingSignature: Version, hotkey, nonce or signature is absent or the hotkey is empty.
        BadSignature: A header appears twice, or its value has not the shape that it must have.
    """
    fields = _signing_fields(headers)
    version, sender = fields.get("version"), fields.get("hotkey")
    nonce, signature = fields.get("nonce"), fields.get("signature")
    if version is None or not sender or nonce is None or signature is None:
        raise MissingSignature("a signing header is absent")
    if version != _VERSION:
        raise BadSignature("the signing version is not 1")
    try:
        public_key = ss58_decode(sender)
    except InvalidAddress as error:
        raise BadSignature("the sender's address is not SS58") from error
    return Claim(
        sender=sender,
        public_key=public_key,
        scheme=_parse_scheme(fields.get("crypto", "sr25519")),
        nonce_ns=_parse_nonce(nonce),
        signature=_parse_signature(signature),
        receiver=fields.get("receiver"),
    )


def _signing_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the `X-Bittensor-*` headers by what follows the prefix, in lower case.

    A multi-valued mapping lists a name twice when the request did. Two values for one signing
    header can be read two ways, so neither is taken.
    """
    fields: dict[str, str] = {}
    for name, value in headers.items():
        if name in _OTHER_NAMES:
            continue
        key = _USUAL_NAMES.get(name) or _signing_name(name)
        if key is None:
            continue
        if key in fields:
            raise BadSignature("a signing header appears twice")
        fields[key] = value
    return fields


def _signing_name(name: str) -> str | None:
    lowered = name.lower()
    return lowered.removeprefix(_PREFIX) if lowered.startswith(_PREFIX) else None


def _parse_scheme(text: str) -> str:
    scheme = _SCHEMES.get(text.strip().lower())
    if scheme is None:
        raise BadSignature("the signature scheme is unknown")
    return scheme


def _parse_nonce(text: str) -> int:
    # int() also takes signs, underscores and spaces, as the reference verifier does; the payload
    # and the replay memory use the number, so a re-spelt nonce is the same nonce.
    if len(text) > _MAX_NONCE_TEXT:
        raise BadSignature("the nonce is too long")
    try:
        return int(text)
    except ValueError as error:
        raise BadSignature("the nonce is not a decimal integer") from error


def _parse_signature(text: str) -> bytes:
    try:
        signature = bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise BadSignature("the signature is not hex") from error
    if len(signature) != 64:
        raise BadSignature("the signature is not 64 bytes")
    return signature


def check_receiver(claim: Claim, receiver: str, *, require_receiver: bool = True) -> None:
    """Check that the request is meant for this node (WIRE.md §1.3 step 2).

    Raises:
        WrongReceiver: It names another node, or none where one is required.
    """
    if claim.receiver is None:
        if require_receiver:
            raise WrongReceiver("the request names no receiver")
    elif claim.receiver != receiver:
        raise WrongReceiver("the request names another receiver")


def check_fresh(
    claim: Claim,
    now_ns: int,
    *,
    max_age_s: float = MAX_AGE_S,
    allowed_skew_s: float = ALLOWED_SKEW_S,
) -> None:
    """Check that the nonce lies in the window, both ends included (WIRE.md §1.3 step 3).

    Raises:
        StaleRequest: It does not; `clock_offset_s` says by how much the clocks differ.
    """
    age_ns = now_ns - claim.nonce_ns
    if age_ns > int(max_age_s * _SECOND_NS) or -age_ns > int(allowed_skew_s * _SECOND_NS):
        raise StaleRequest.by(age_ns, "the nonce is outside the window")


def prove(
    claim: Claim,
    *,
    method: str,
    target: str,
    digest: bytes,
    now_ns: int,
    guard: ReplayGuard | None,
) -> Caller:
    """Check the signature under the declared scheme only, then the replay memory.

    Nothing is stored unless the signature holds, so a bad request can't burn a good one's nonce.

    Raises:
        BadSignature: The signature does not hold.
        ReplayedRequest: The nonce was accepted before.
        StaleRequest: The nonce lies outside the guard's own window.
        Overloaded: The replay memory is full.
    """
    payload = signed_payload(
        scheme=claim.scheme,
        method=method,
        target=target,
        digest=digest,
        nonce_ns=claim.nonce_ns,
        sender=claim.sender,
        receiver=claim.receiver,
    )
    verify_signature(claim.scheme, claim.public_key, payload, claim.signature)
    if guard is not None:
        guard.check_and_store(claim.public_key, claim.nonce_ns, now_ns=now_ns)
    return make_caller(
        public_key=claim.public_key,
        scheme=claim.scheme,
        protocol=PROTOCOL,
        nonce_ns=claim.nonce_ns,
        signed=payload,
    )
