"""Epistula 1, receiving only: a JSON body that names its sender, signed as it stands (WIRE.md §3).

The signature is over the exact bytes, so they are verified as they came and never written anew.
The body has to be parsed to learn whose signature it bears; until then nothing of it is believed,
and afterwards only what was inside those bytes is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pydantic_core

from node.errors import MalformedRequest, WrongReceiver
from node.keys.signatures import verify_signature

from .caller import Caller, make_caller
from .header_fields import parse_sender, parse_signature, pick_headers, required
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
    "parse_signature_header",
    "prove",
    "verify",
]

PROTOCOL = "epistula"
MAX_AGE_S = 5.0
ALLOWED_SKEW_S = 2.0

_SCHEME = "sr25519"
_SIGNATURE = "body-signature"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signed body says about its sender; nothing of it is proved.

    Attributes:
        sender: The address as written.
        public_key: The 32-byte key of `sender`.
        nonce_ns: The sender's clock, Unix nanoseconds.
        signature: 64 bytes.
        receiver: The address that the request is meant for, or None when it names none.
        data: What the sender has to say; any JSON value.
        body: The bytes that all this was read from, which are what is signed.
    """

    sender: str
    public_key: bytes
    nonce_ns: int
    signature: bytes
    receiver: str | None
    data: Any
    body: bytes = field(repr=False)


class Letter(NamedTuple):
    """A verified body: who sent it, and the value of its `data`."""

    caller: Caller
    data: Any


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    receiver: str,
    now_ns: int,
    guard: ReplayGuard | None = None,
    max_age_s: float = MAX_AGE_S,
    allowed_skew_s: float = ALLOWED_SKEW_S,
    require_receiver: bool = True,
) -> Letter:
    """Return who sent the body and what is in it, or raise.

    Args:
        headers: Request headers, names in any case.
        body: The raw body as received. Its size is the caller's to bound.
        receiver: This node's own address, prefix 42.
        now_ns: This node's clock, Unix nanoseconds.
        guard: The replay memory; None checks no replay, for callers that do it themselves.
        max_age_s: How old a request may be; exactly that old still passes.
        allowed_skew_s: How far ahead its clock may be; exactly that far still passes.
        require_receiver: Whether a body that names no receiver is refused.

    Raises:
        MissingSignature: The header is absent or empty.
        BadSignature: It is malformed, or the signature does not hold.
        MalformedRequest: The body is not an Epistula 1 body.
        WrongReceiver: The body is for another node, or for none.
        StaleRequest: Its nonce is outside the window.
        ReplayedRequest: Its nonce was accepted before.
        Overloaded: The replay memory is full.
        ConfigError: The guard remembers for less time than the window lasts.
    """
    check_guard(guard, max_age_s=max_age_s, allowed_skew_s=allowed_skew_s)
    claim = parse_claim(headers, body)
    check_receiver(claim, receiver, require_receiver=require_receiver)
    check_fresh(claim, now_ns, max_age_s=max_age_s, allowed_skew_s=allowed_skew_s)
    return prove(claim, now_ns=now_ns, guard=guard)


def parse_signature_header(headers: Mapping[str, str]) -> bytes:
    """Return the signature; all that can be checked before the body is read.

    Raises:
        MissingSignature: The header is absent or empty.
        BadSignature: It appears twice, or is not `0x` and 128 hex digits.
    """
    return parse_signature(required(pick_headers(headers, frozenset({_SIGNATURE})), _SIGNATURE))


def parse_claim(headers: Mapping[str, str], body: bytes) -> Claim:
    """Read the signature header and the body.

    Raises:
        MissingSignature: The header is absent or empty.
        BadSignature: It is malformed, or `signed_by` is not an address.
        MalformedRequest: The body is not an Epistula 1 body.
    """
    signature = parse_signature_header(headers)
    try:
        document = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedRequest("the body is not JSON") from error
    if not isinstance(document, dict) or "data" not in document:
        raise MalformedRequest("the body is not an Epistula 1 body: it has no data")
    sender, receiver, nonce_ns, version = (
        document.get(key) for key in ("signed_by", "signed_for", "nonce", "version")
    )
    if not isinstance(sender, str) or not isinstance(receiver, str | None):
        raise MalformedRequest("the body is not an Epistula 1 body: signed_by, signed_for")
    # To isinstance a bool is an int. Bodies of the first days have no version.
    if type(nonce_ns) is not int or (version is not None and version != 1):
        raise MalformedRequest("the body is not an Epistula 1 body: nonce, version")
    return Claim(
        sender=sender,
        public_key=parse_sender(sender),
        nonce_ns=nonce_ns,
        signature=signature,
        receiver=receiver or None,
        data=document["data"],
        body=body,
    )


def check_receiver(claim: Claim, receiver: str, *, require_receiver: bool = True) -> None:
    """Check that the body is meant for this node.

    Raises:
        WrongReceiver: It names another node, or none where one is required.
    """
    if claim.receiver is None:
        if require_receiver:
            raise WrongReceiver("the body names no receiver")
    elif claim.receiver != receiver:
        raise WrongReceiver("the body names another receiver")


def check_fresh(
    claim: Claim,
    now_ns: int,
    *,
    max_age_s: float = MAX_AGE_S,
    allowed_skew_s: float = ALLOWED_SKEW_S,
) -> None:
    """Check that the nonce lies in the window, both ends included.

    Raises:
        StaleRequest: It does not; `clock_offset_s` says by how much the clocks differ.
    """
    check_age(claim.nonce_ns, now_ns, max_age_s=max_age_s, allowed_skew_s=allowed_skew_s)


def prove(claim: Claim, *, now_ns: int, guard: ReplayGuard | None) -> Letter:
    """Check the signature over the bytes that the claim was read from, then the replay memory.

    Raises:
        BadSignature: The signature does not hold.
        ReplayedRequest: The nonce was accepted before.
        StaleRequest: The nonce lies outside the guard's own window.
        Overloaded: The replay memory is full.
    """
    verify_signature(_SCHEME, claim.public_key, claim.body, claim.signature)
    if guard is not None:
        guard.check_and_store(claim.public_key, claim.nonce_ns, now_ns=now_ns)
    caller = make_caller(
        public_key=claim.public_key,
        scheme=_SCHEME,
        protocol=PROTOCOL,
        nonce_ns=claim.nonce_ns,
        signed=claim.body,
    )
    return Letter(caller, claim.data)
