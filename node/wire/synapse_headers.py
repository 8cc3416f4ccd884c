"""The synapse-header protocol of SDK 6 to 10 (WIRE.md §2).

Signed are the nonce, the sender, the receiver, the sender's session and the body hash, joined by
dots. Not signed are the route, the timeout, the version, the addresses, the placeholders, and
whatever of the body is not hashed. So no unsigned header loosens a check here: the version
is not read at all, and the timeout only ever narrows the window. The receiver in the headers is
advice; the one that counts is this node's own address, put into the text that is verified.

The stages are those of `btauth`: `parse_claim`, `check_receiver`, `check_fresh`, `prove`. The
signature does not need the body, so `prove` can run before the body is read; after it comes
`check_body_hash`, with the values that the typed body holds.

The other parts of the protocol are in `synapse_sign`, `body_hash`, `input_objects`,
`synapse_reply` and `uptime`; their names can be used from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from node.errors import (
    BadSignature,
    BodyMismatch,
    InvalidAddress,
    MalformedRequest,
    StaleRequest,
    WrongReceiver,
)
from node.keys.signatures import verify_signature
from node.keys.ss58 import ss58_decode

from .body_hash import EMPTY_BODY_HASH, body_hash, check_body_hash
from .caller import Caller, make_caller
from .header_fields import (
    parse_digits,
    parse_sender,
    parse_signature,
    parse_token,
    pick_headers,
    required,
)
from .input_objects import input_headers, parse_input_headers
from .replay import ReplayGuard
from .synapse_reply import ReplyStatus, encode_error_body, parse_reply_headers, reply_headers
from .synapse_sign import VERSION, sign, signed_payload, version_number
from .uptime import UPTIME_LIMIT_NS, UptimeGuard
from .window import check_age, check_guard

__all__ = [
    "ALLOWED_SKEW_S",
    "EMPTY_BODY_HASH",
    "MAX_AGE_S",
    "PROTOCOL",
    "VERSION",
    "Claim",
    "ReplyStatus",
    "UptimeGuard",
    "body_hash",
    "check_body_hash",
    "check_covered",
    "check_fresh",
    "check_receiver",
    "encode_error_body",
    "input_headers",
    "parse_claim",
    "parse_input_headers",
    "parse_reply_headers",
    "prove",
    "reply_headers",
    "sign",
    "signed_payload",
    "verify",
    "version_number",
]

PROTOCOL = "synapse"
MAX_AGE_S = 16.0
ALLOWED_SKEW_S = 2.0

_SCHEME = "sr25519"
_SLACK_S = 4.0
_DEFAULT_TIMEOUT_S = 12.0
_DENDRITE = "bt_header_dendrite_"
_NONCE, _UUID, _HOTKEY, _SIGNATURE = (
    _DENDRITE + member for member in ("nonce", "uuid", "hotkey", "signature")
)
_RECEIVER = "bt_header_axon_hotkey"
_BODY_HASH = "computed_body_hash"
_TIMEOUT = "timeout"
_READ = frozenset({_NONCE, _UUID, _HOTKEY, _SIGNATURE, _RECEIVER, _BODY_HASH, _TIMEOUT})

_HASH_TEXT = re.compile(r"[0-9a-f]{64}")
_SECONDS_TEXT = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,20})?(?:e[+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Claim:
    """What the headers of a request say about its sender; nothing of it is proved.

    Attributes:
        sender: The address as written, which is part of what is signed.
        public_key: The 32-byte key of `sender`.
        nonce_ns: The sender's clock, Unix nanoseconds; its host's uptime from SDK 6.0-7.1.
        uuid: The sender's session.
        signature: 64 bytes.
        body_hash: 64 hex digits, for `check_body_hash`.
        receiver: The address of the axon that was meant, or None. Not signed.
        timeout_s: How long the sender says it waits, or None. Not signed, and without a cap.
    """

    sender: str
    public_key: bytes
    nonce_ns: int
    uuid: str
    signature: bytes
    body_hash: str
    receiver: str | None
    timeout_s: float | None

    @property
    def is_uptime(self) -> bool:
        """Whether the nonce counts uptime, as it can't be Unix time of this century."""
        return self.nonce_ns < UPTIME_LIMIT_NS


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
    require_body_hash: bool = False,
    uptime_guard: UptimeGuard | None = None,
) -> Caller:
    """Return who signed the headers, or raise. It is not the body that is verified.

    The body hash is of typed values, so the caller checks it once the body is parsed, with
    `check_body_hash(parse_claim(headers).body_hash, values)`.

    Args:
        headers: Request headers, names in any case.
        body: Not looked at.
        method: Not signed by this protocol.
        target: Not signed by this protocol.
        receiver: This node's own address, prefix 42.
        now_ns: This node's clock, Unix nanoseconds.
        guard: The replay memory; None checks no replay, for callers that do it themselves.
        max_age_s: How old a request may be at the most; a short timeout makes it less.
        allowed_skew_s: How far ahead its clock may be.
        require_body_hash: Whether a request whose signature covers nothing of the body is
            refused.
        uptime_guard: A memory for peers of SDK 6.0-7.1, whose nonces have no age. None, the
            default, refuses them. What it can't close is in `node.wire.uptime`.

    Raises:
        MissingSignature: A needed header is absent or empty.
        BadSignature: One is malformed or appears twice, or the signature does not hold.
        MalformedRequest: The timeout is not a finite number of seconds.
        WrongReceiver: The signature does not hold and the headers name another node.
        StaleRequest: The nonce is outside the window.
        BodyMismatch: No field of the body is covered, and `require_body_hash`.
        ReplayedRequest: The nonce was accepted before.
        Overloaded: A replay memory is full.
        ConfigError: The guard remembers for less time than the window lasts.
    """
    check_guard(guard, max_age_s=max_age_s, allowed_skew_s=allowed_skew_s)
    claim = parse_claim(headers)
    check_fresh(
        claim,
        now_ns,
        max_age_s=max_age_s,
        allowed_skew_s=allowed_skew_s,
        allow_uptime_nonces=uptime_guard is not None,
    )
    if require_body_hash:
        check_covered(claim)
    return prove(claim, receiver=receiver, now_ns=now_ns, guard=guard, uptime_guard=uptime_guard)


def parse_claim(headers: Mapping[str, str]) -> Claim:
    """Read the headers that this protocol needs; no other is looked at.

    Raises:
        MissingSignature: Nonce, uuid, hotkey, signature or body hash is absent or empty.
        BadSignature: A header appears twice or has not the shape that it must have.
        MalformedRequest: The timeout is not a finite number of seconds.
    """
    fields = pick_headers(headers, _READ)
    signature, nonce, sender, uuid, claimed_hash = (
        required(fields, name) for name in (_SIGNATURE, _NONCE, _HOTKEY, _UUID, _BODY_HASH)
    )
    # An axon can be made to sign a text of this form that ends in its own uuid (WIRE.md §2.10
    # item 7). Such a text has no digest in its last place.
    if _HASH_TEXT.fullmatch(claimed_hash) is None:
        raise BadSignature("the body hash is not 64 lower-case hex digits")
    return Claim(
        sender=sender,
        public_key=parse_sender(sender),
        nonce_ns=parse_digits(nonce),
        uuid=parse_token(uuid),
        signature=parse_signature(signature),
        body_hash=claimed_hash,
        receiver=fields.get(_RECEIVER),
        timeout_s=_parse_timeout(fields.get(_TIMEOUT)),
    )


def _parse_timeout(text: str | None) -> float | None:
    if text is None:
        return None
    value = float(text) if _SECONDS_TEXT.fullmatch(text) else math.inf
    if not math.isfinite(value):
        raise MalformedRequest("the timeout header is not a number of seconds")
    return value


def check_receiver(claim: Claim, receiver: str) -> None:
    """Check that the headers do not name another node.

    The header is not signed, so passing proves nothing and `verify` does not ask for it: the
    signed receiver is what `prove` checks. SDK dendrites always write the address that they
    signed for, so an axon may use this to refuse a misdirected request early; `prove` uses it to
    tell one from a forgery.

    Raises:
        WrongReceiver: They do.
    """
    if claim.receiver is None:
        return
    try:
        named = ss58_decode(claim.receiver)
    except InvalidAddress as error:
        raise WrongReceiver("the request names a receiver that is no address") from error
    if named != ss58_decode(receiver):
        raise WrongReceiver("the request names another receiver")


def check_fresh(
    claim: Claim,
    now_ns: int,
    *,
    max_age_s: float = MAX_AGE_S,
    allowed_skew_s: float = ALLOWED_SKEW_S,
    allow_uptime_nonces: bool = False,
) -> None:
    """Check that the nonce is Unix time in the window, both ends included.

    An SDK axon takes nonces up to `4 s + timeout` old. The timeout is not signed, so here it can
    make the window shorter than `max_age_s` and never longer.

    Args:
        claim: The request's.
        now_ns: This node's clock, Unix nanoseconds.
        max_age_s: How old a nonce may be at the most.
        allowed_skew_s: How far ahead it may be.
        allow_uptime_nonces: Whether a nonce that counts uptime passes, for `prove` to check by an
            `UptimeGuard`.

    Raises:
        StaleRequest: It is not; `clock_offset_s` says by how much the clocks differ.
    """
    if claim.is_uptime and allow_uptime_nonces:
        return
    timeout_s = _DEFAULT_TIMEOUT_S if claim.timeout_s is None else claim.timeout_s
    window_s = min(_SLACK_S + timeout_s, max_age_s)
    check_age(claim.nonce_ns, now_ns, max_age_s=window_s, allowed_skew_s=allowed_skew_s)


def check_covered(claim: Claim) -> None:
    """Check that the signature covers something of the body.

    Raises:
        BodyMismatch: The sender hashed no field, so anybody on the way could change them all.
    """
    if claim.body_hash == EMPTY_BODY_HASH:
        raise BodyMismatch("the sender's signature covers no field of the body")


def prove(
    claim: Claim,
    *,
    receiver: str,
    now_ns: int,
    guard: ReplayGuard | None,
    uptime_guard: UptimeGuard | None = None,
) -> Caller:
    """Check the signature for this node as the receiver, then the replay memory.

    Nothing is stored unless the signature holds. A nonce that counts uptime goes to
    `uptime_guard`, any other to `guard`, where one nonce of a key serves once for all protocols.

    Raises:
        BadSignature: The signature does not hold.
        WrongReceiver: It does not, and the headers name another node.
        ReplayedRequest: The nonce was accepted before.
        StaleRequest: The nonce lies outside the memory's own window, or counts uptime and there
            is no `uptime_guard`.
        Overloaded: The replay memory is full.
    """
    payload = signed_payload(
        nonce_ns=claim.nonce_ns,
        sender=claim.sender,
        receiver=receiver,
        uuid=claim.uuid,
        body_hash=claim.body_hash,
    )
    try:
        verify_signature(_SCHEME, claim.public_key, payload, claim.signature)
    except BadSignature:
        check_receiver(claim, receiver)
        raise
    _check_replay(claim, now_ns, guard, uptime_guard)
    return make_caller(
        public_key=claim.public_key,
        scheme=_SCHEME,
        protocol=PROTOCOL,
        nonce_ns=claim.nonce_ns,
        signed=payload,
    )


def _check_replay(
    claim: Claim, now_ns: int, guard: ReplayGuard | None, uptime_guard: UptimeGuard | None
) -> None:
    if not claim.is_uptime:
        if guard is not None:
            guard.check_and_store(claim.public_key, claim.nonce_ns, now_ns=now_ns)
    elif uptime_guard is None:
        raise StaleRequest.by(now_ns - claim.nonce_ns, "the nonce counts uptime, not Unix time")
    else:
        uptime_guard.check_and_store(claim.public_key, claim.uuid, claim.nonce_ns)
