"""Epistula 2: the signed request headers of Targon and its kin (WIRE.md §4).

Signed are the body's digest, a request uuid, the time in milliseconds and the receiver, joined by
dots. Not signed are the method and the path. The stages are those of `btauth`: `parse_claim`,
`check_receiver`, `check_fresh`, `prove`. Epistula 1, which is only received, is in `epistula_v1`;
its `verify` is `verify_v1` here.

Rule: the replay memory keeps the uuid beside the time. The time alone would refuse one of two
honest requests of one millisecond, and both are signed, so neither can be changed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from node.errors import BadSignature, ConfigError, WalletError, WrongReceiver
from node.keys.keypair import Keypair
from node.keys.signatures import verify_signature
from node.keys.ss58 import normalise_address

from .caller import Caller, make_caller
from .epistula_v1 import Letter
from .epistula_v1 import verify as verify_v1
from .header_fields import (
    is_token,
    parse_digits,
    parse_sender,
    parse_signature,
    parse_token,
    pick_headers,
    required,
)
from .replay import ReplayGuard
from .window import check_age, check_guard

__all__ = [
    "ALLOWED_SKEW_S",
    "MAX_AGE_S",
    "PROTOCOL",
    "Claim",
    "Letter",
    "check_fresh",
    "check_receiver",
    "parse_claim",
    "prove",
    "sign",
    "sign_digest",
    "signed_payload",
    "verify",
    "verify_v1",
]

PROTOCOL = "epistula"
MAX_AGE_S = 8.0
ALLOWED_SKEW_S = 2.0

_SCHEME = "sr25519"
_VERSION = "2"
_MS_NS = 1_000_000
_INTERVAL_MS = 1e4
_NAMES = ("Version", "Timestamp", "Uuid", "Signed-By", "Request-Signature", "Signed-For")
_VERSION_HEADER, _TIMESTAMP, _UUID, _SENDER, _SIGNATURE, _RECEIVER = (
    f"Epistula-{name}" for name in _NAMES
)
_READ = frozenset(f"epistula-{name.lower()}" for name in _NAMES)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the headers of a request say about its sender; nothing of it is proved.

    Attributes:
        sender: The address as written, which is not part of what is signed.
        public_key: The 32-byte key of `sender`.
        timestamp_ms: The sender's clock, Unix milliseconds.
        uuid: The request's own.
        signature: 64 bytes.
        receiver: The address that the request is meant for, or None when it names none.
    """

    sender: str
    public_key: bytes
    timestamp_ms: int
    uuid: str
    signature: bytes
    receiver: str | None

    @property
    def nonce_ns(self) -> int:
        """The sender's clock, Unix nanoseconds."""
        return self.timestamp_ms * _MS_NS


def signed_payload(*, digest: bytes, uuid: str, timestamp_ms: int, receiver: str | None) -> bytes:
    """Return the exact bytes that are signed (WIRE.md §4.1).

    Args:
        digest: SHA-256 of the body bytes that are sent, 32 bytes.
        uuid: The request's own.
        timestamp_ms: Unix milliseconds.
        receiver: Receiver's address, or None, which leaves the last part empty.
    """
    return f"{digest.hex()}.{uuid}.{timestamp_ms}.{receiver or ''}".encode()


def sign(
    keypair: Keypair,
    *,
    method: str,
    target: str,
    body: bytes,
    receiver: str | None,
    nonce_ns: int,
    uuid: str,
    secret_signatures: bool = False,
) -> dict[str, str]:
    """Return the headers that prove `keypair` sent this body.

    Args:
        keypair: The sender's hotkey, sr25519.
        method: Not signed by this protocol.
        target: Not signed by this protocol.
        body: The raw body, exactly as it is sent.
        receiver: The receiving node's address; None signs for nobody, which receivers may refuse.
        nonce_ns: Unix nanoseconds; milliseconds of it are sent.
        uuid: Never used twice by this key: 1 to 64 letters, digits, `-` and `_`, such as a UUID 4.
        secret_signatures: Whether to add the three that the Python dialect has (WIRE.md §4.3). No
            known receiver looks at them.

    Raises:
        WalletError: `keypair` is not sr25519, or holds no secret.
        InvalidAddress: `receiver` is not an address.
        ConfigError: The uuid is malformed, or secret signatures are asked for and nobody receives.
    """
    return sign_digest(
        keypair,
        digest=hashlib.sha256(body).digest(),
        receiver=receiver,
        nonce_ns=nonce_ns,
        uuid=uuid,
        secret_signatures=secret_signatures,
    )


def sign_digest(
    keypair: Keypair,
    *,
    digest: bytes,
    receiver: str | None,
    nonce_ns: int,
    uuid: str,
    secret_signatures: bool = False,
) -> dict[str, str]:
    """As `sign`, from the body's SHA-256, which a fan-out takes once for all its peers."""
    if keypair.scheme != _SCHEME:
        raise WalletError(f"Epistula only knows sr25519 hotkeys; this one is {keypair.scheme}")
    if not is_token(uuid):
        raise ConfigError("a request uuid is 1 to 64 letters, digits, - and _")
    timestamp_ms = nonce_ns // _MS_NS
    # Parts are joined by dots, so none of them may be a text that a peer could choose freely.
    receiver = None if receiver is None else normalise_address(receiver)
    payload = signed_payload(digest=digest, uuid=uuid, timestamp_ms=timestamp_ms, receiver=receiver)
    headers = {
        _VERSION_HEADER: _VERSION,
        _TIMESTAMP: str(timestamp_ms),
        _UUID: uuid,
        _SENDER: keypair.ss58_address,
        _SIGNATURE: _signature_text(keypair, payload),
    }
    if receiver is not None:
        headers[_RECEIVER] = receiver
    if secret_signatures:
        headers.update(_secret_signatures(keypair, timestamp_ms, receiver))
    return headers


def _secret_signatures(keypair: Keypair, timestamp_ms: int, receiver: str | None) -> dict[str, str]:
    """Sign the end of the current interval of ten seconds, and one step before and after it.

    In the Python dialect that end is a float of milliseconds, written as Python writes it, and a
    step is one millisecond.
    """
    if receiver is None:
        raise ConfigError("secret signatures name a receiver; give one")
    end_ms = math.ceil(timestamp_ms / _INTERVAL_MS) * _INTERVAL_MS
    return {
        f"Epistula-Secret-Signature-{index}": _signature_text(
            keypair, f"{end_ms + index - 1}.{receiver}".encode()
        )
        for index in range(3)
    }


def _signature_text(keypair: Keypair, payload: bytes) -> str:
    return "0x" + keypair.sign(payload).hex()


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
        headers: Request headers, names in any case. Secret signatures are not looked at.
        body: The raw body as received.
        method: Not signed by this protocol.
        target: Not signed by this protocol.
        receiver: This node's own address, prefix 42.
        now_ns: This node's clock, Unix nanoseconds.
        guard: The replay memory; None checks no replay, for callers that do it themselves.
        max_age_s: How old a request may be; exactly that old still passes.
        allowed_skew_s: How far ahead its clock may be; exactly that far still passes.
        require_receiver: Whether a request that names no receiver is refused.

    Raises:
        MissingSignature: A needed header is absent or empty.
        BadSignature: One is malformed or appears twice, or the signature does not hold.
        WrongReceiver: The request is for another node, or for none.
        StaleRequest: Its time is outside the window.
        ReplayedRequest: It was accepted before.
        Overloaded: The replay memory is full.
        ConfigError: The guard remembers for less time than the window lasts.
    """
    check_guard(guard, max_age_s=max_age_s, allowed_skew_s=allowed_skew_s)
    claim = parse_claim(headers)
    check_receiver(claim, receiver, require_receiver=require_receiver)
    check_fresh(claim, now_ns, max_age_s=max_age_s, allowed_skew_s=allowed_skew_s)
    return prove(claim, digest=hashlib.sha256(body).digest(), now_ns=now_ns, guard=guard)


def parse_claim(headers: Mapping[str, str]) -> Claim:
    """Read the signing headers.

    Raises:
        MissingSignature: Version, timestamp, uuid, sender or signature is absent or empty.
        BadSignature: A header appears twice, or its value has not the shape that it must have.
    """
    fields = pick_headers(headers, _READ)
    version, signature, timestamp, uuid, sender = (
        required(fields, name.lower())
        for name in (_VERSION_HEADER, _SIGNATURE, _TIMESTAMP, _UUID, _SENDER)
    )
    if version != _VERSION:
        raise BadSignature("the Epistula version is not 2")
    return Claim(
        sender=sender,
        public_key=parse_sender(sender),
        timestamp_ms=parse_digits(timestamp),
        uuid=parse_token(uuid),
        signature=parse_signature(signature),
        # Some senders always send the header, empty when they sign for nobody.
        receiver=fields.get(_RECEIVER.lower()) or None,
    )


def check_receiver(claim: Claim, receiver: str, *, require_receiver: bool = True) -> None:
    """Check that the request is meant for this node.

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
    """Check that the request's time lies in the window, both ends included (WIRE.md §4.2).

    Raises:
        StaleRequest: It does not; `clock_offset_s` says by how much the clocks differ.
    """
    check_age(claim.nonce_ns, now_ns, max_age_s=max_age_s, allowed_skew_s=allowed_skew_s)


def prove(claim: Claim, *, digest: bytes, now_ns: int, guard: ReplayGuard | None) -> Caller:
    """Check the signature, then the replay memory; nothing is stored unless it holds.

    Args:
        claim: The request's.
        digest: SHA-256 of the body as received.
        now_ns: This node's clock, Unix nanoseconds.
        guard: The replay memory, or None.

    Raises:
        BadSignature: The signature does not hold.
        ReplayedRequest: The same key already used this uuid at this time.
        StaleRequest: The time lies outside the guard's own window.
        Overloaded: The replay memory is full.
    """
    payload = signed_payload(
        digest=digest,
        uuid=claim.uuid,
        timestamp_ms=claim.timestamp_ms,
        receiver=claim.receiver,
    )
    verify_signature(_SCHEME, claim.public_key, payload, claim.signature)
    if guard is not None:
        guard.check_and_store(
            claim.public_key, claim.nonce_ns, now_ns=now_ns, tag=claim.uuid.encode()
        )
    return make_caller(
        public_key=claim.public_key,
        scheme=_SCHEME,
        protocol=PROTOCOL,
        nonce_ns=claim.nonce_ns,
        signed=payload,
    )
