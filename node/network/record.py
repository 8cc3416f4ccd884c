r"""Signed records: what a hotkey says of itself, whoever keeps it. No I/O and no clock in here.

A record is one JSON object under a domain line, signed by the hotkey that it is about::

    ganglion/record/2\n
    {"expires_ns":0,"hotkey":"5F...","issued_ns":1700000000000000000,"kind":"serve","netuid":8,
    "payload":{...},"registry":1690000000000000000}          (one line; broken here to fit)

The domain line keeps a record's signature from meaning anything elsewhere, and the other way round.
The JSON is canonical (sorted keys, no spaces, ASCII), and one that is not is refused. A registry
stores the signed bytes themselves and never writes them anew, so that what is checked is what was
signed. `issued_ns` grows with each record of one kind, netuid and hotkey: the highest one counts.
`registry` is the nanosecond in which the registry began, as a genesis block is for a chain: a
record means nothing in another one. After `expires_ns` it means nothing anywhere; 0 is never.

Kinds and their payloads:

========  ==============================================  ======================================
register  `coldkey`: SS58 address, or ""                  the hotkey asked for a uid
serve     `ip`, `port`, `protocols`, `version`,           where its axon answers (port 0: nowhere)
          `capacity`: route to requests at once           and how much it takes
weights   `uids`, `weights`: lists of one length, sum 1   its judgement of the others
========  ==============================================  ======================================
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node import errors
from node.keys import Keypair, normalise_address, ss58_encode, verify_signature

from .peer import Peer

__all__ = [
    "KINDS",
    "MAX_NETUID",
    "MAX_RECORD_BYTES",
    "MAX_UIDS",
    "Record",
    "SealedRecord",
    "Weights",
    "expiry_ns",
    "open_record",
    "parse_endpoint",
    "parse_record",
    "parse_registration",
    "parse_weights",
    "seal_record",
    "serve_payload",
    "weights_payload",
]

DOMAIN_LINE = b"ganglion/record/2\n"
KINDS = ("register", "serve", "weights")
MAX_NETUID = 2**16 - 1
MAX_UIDS = 4096
# Weights for MAX_UIDS neurons: a uid takes up to 5 bytes with its comma, a float up to 25.
MAX_RECORD_BYTES = 2**17
MAX_ISSUED_NS = 2**63 - 1
MAX_TTL_S = 1e9
SUM_TOLERANCE = 1e-6

_FIELDS = {"expires_ns", "hotkey", "issued_ns", "kind", "netuid", "payload", "registry"}
_ENDPOINT = ("ip", "port", "protocols", "version", "capacity")


@dataclass(frozen=True, slots=True)
class Record:
    """What a hotkey says.

    Attributes:
        kind: One of `KINDS`.
        netuid: The subnet that it is about.
        hotkey: SS58 address with prefix 42 of the key that says it.
        issued_ns: The signer's clock, Unix nanoseconds; grows with each record of the same kind.
        payload: JSON values, by kind as in the table above. Read it with `parse_registration`,
            `parse_endpoint` or `parse_weights`, which check it.
        registry: When the registry that it is for began, Unix nanoseconds.
        expires_ns: When it stops to count, Unix nanoseconds; 0 is never.
    """

    kind: str
    netuid: int
    hotkey: str
    issued_ns: int
    payload: Mapping[str, Any]
    registry: int = 0
    expires_ns: int = 0

    def is_expired(self, now_ns: int) -> bool:
        """Whether it has stopped to count."""
        return 0 < self.expires_ns <= now_ns


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """The bytes that were signed, and the signature: what a registry stores. Not yet checked."""

    message: bytes
    scheme: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Weights:
    """A validator's judgement: `weights[i]` is for `uids[i]`; their sum is 1."""

    issued_ns: int
    uids: tuple[int, ...]
    weights: tuple[float, ...]


def seal_record(
    keypair: Keypair,
    *,
    kind: str,
    netuid: int,
    issued_ns: int,
    payload: Mapping[str, Any],
    registry: int = 0,
    expires_ns: int = 0,
) -> SealedRecord:
    """Sign a record by the hotkey that it is about; the arguments are the fields of `Record`.

    Raises:
        errors.NetworkError: The record is too long or its time is out of range.
        errors.WalletError: `keypair` can't sign.
    """
    record = Record(kind, netuid, keypair.ss58_address, issued_ns, payload, registry, expires_ns)
    message = _encode(record)
    parse_record(message)
    return SealedRecord(message, keypair.scheme, keypair.sign(message))


def open_record(
    sealed: SealedRecord, *, kind: str, netuid: int, public_key: bytes, registry: int = 0
) -> Record:
    """Check a stored record and return what it says.

    Args:
        sealed: As stored.
        kind: The kind that it was stored as.
        netuid: The subnet that it was stored under.
        public_key: The key that it was stored under, 32 bytes; the signature must be its own.
        registry: When the registry that holds it began.

    Raises:
        errors.NetworkError: The signature is not valid, or the record is about another key, subnet
            or kind, or for another registry, or is not well formed.
    """
    try:
        verify_signature(sealed.scheme, public_key, sealed.message, sealed.signature)
    except errors.BadSignature as error:
        raise errors.NetworkError("its signature is not valid") from error
    record = parse_record(sealed.message)
    if record.hotkey != ss58_encode(public_key):
        raise errors.NetworkError("it is about another hotkey")
    if record.netuid != netuid:
        raise errors.NetworkError(f"it is about netuid {record.netuid}")
    if record.kind != kind:
        raise errors.NetworkError(f"it is a {record.kind} record")
    if record.registry != registry:
        raise errors.NetworkError("it was signed for another registry")
    return record


def parse_record(message: bytes) -> Record:
    """Read the signed bytes, without any judgement of who signed them.

    Raises:
        errors.NetworkError: They are too long, under another domain, or not a canonical record.
    """
    if len(message) > MAX_RECORD_BYTES:
        raise errors.NetworkError(f"it is over {MAX_RECORD_BYTES} bytes")
    if not message.startswith(DOMAIN_LINE):
        raise errors.NetworkError("it is not a record of a known version")
    try:
        # RecursionError: the depth of the JSON is the writer's choice.
        fields = json.loads(message[len(DOMAIN_LINE) :])
    except (ValueError, RecursionError) as error:
        raise errors.NetworkError("it is not JSON") from error
    if not isinstance(fields, dict) or fields.keys() != _FIELDS or not _has_types(fields):
        raise errors.NetworkError("its fields are not those of a record")
    record = Record(**fields)
    try:
        canonical = _encode(record) == message
    except (ValueError, RecursionError):  # NaN, which is no JSON
        canonical = False
    if not canonical:
        raise errors.NetworkError("its JSON is not canonical")
    return record


def parse_registration(record: Record) -> str:
    """The coldkey's address with prefix 42, or "".

    Raises:
        errors.NetworkError: The payload is not a registration's.
    """
    coldkey = record.payload.get("coldkey")
    if record.payload.keys() != {"coldkey"} or not isinstance(coldkey, str):
        raise errors.NetworkError("its payload is not a registration")
    try:
        return normalise_address(coldkey) if coldkey else ""
    except errors.InvalidAddress as error:
        raise errors.NetworkError("its coldkey is not an address") from error


def expiry_ns(now_ns: int, ttl_s: float | None) -> int:
    """The `expires_ns` of a record that counts for `ttl_s` seconds; None is for ever.

    Raises:
        errors.ConfigError: `ttl_s` is not above 0.
    """
    if ttl_s is None:
        return 0
    if not 0 < ttl_s < MAX_TTL_S:
        raise errors.ConfigError(
            f"a record's ttl_s is above 0 and below {MAX_TTL_S:g}, not {ttl_s}"
        )
    return now_ns + int(ttl_s * 1e9)


def serve_payload(peer: Peer) -> dict[str, Any]:
    """The payload of a `serve` record: where the peer answers, without who it is."""
    mapping = peer.to_mapping()
    return {key: mapping[key] for key in _ENDPOINT}


def parse_endpoint(record: Record) -> Peer:
    """Where the hotkey says that it answers; the coldkey is left "".

    Raises:
        errors.NetworkError: The payload is not an endpoint.
    """
    if record.payload.keys() != set(_ENDPOINT):
        raise errors.NetworkError("its payload is not an endpoint")
    try:
        return Peer(hotkey=record.hotkey, **record.payload)
    except errors.ConfigError as error:
        raise errors.NetworkError(f"its endpoint can't be used: {error}") from error


def weights_payload(uids: Sequence[int], weights: Sequence[float]) -> dict[str, Any]:
    """The payload of a `weights` record; the caller has checked and normalised both lists."""
    return {"uids": list(uids), "weights": list(weights)}


def parse_weights(record: Record) -> Weights:
    """The judgement in a `weights` record.

    Raises:
        errors.NetworkError: The lists differ in length, name a uid twice or one out of range, or
            hold a weight that is not from 0 to 1; or the sum is not 1.
    """
    uids, weights = _list_at(record, "uids"), _list_at(record, "weights")
    if record.payload.keys() != {"uids", "weights"}:
        raise errors.NetworkError("its payload is not a list of weights")
    if not all(type(uid) is int and 0 <= uid < MAX_UIDS for uid in uids):
        raise errors.NetworkError("one of its uids is out of range")
    if len(set(uids)) != len(uids) or len(uids) != len(weights):
        raise errors.NetworkError("its uids and weights do not match")
    # A NaN fails the comparison.
    if not all(type(weight) is float and 0.0 <= weight <= 1.0 for weight in weights):
        raise errors.NetworkError("one of its weights is not from 0 to 1")
    if not math.isclose(math.fsum(weights), 1.0, abs_tol=SUM_TOLERANCE):
        raise errors.NetworkError("its weights do not sum to 1")
    return Weights(record.issued_ns, tuple(uids), tuple(weights))


def _encode(record: Record) -> bytes:
    fields = {name: getattr(record, name) for name in _FIELDS}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return DOMAIN_LINE + text.encode("ascii")


def _has_types(fields: Mapping[str, Any]) -> bool:
    # type() and not isinstance: True is an int.
    return (
        fields["kind"] in KINDS
        and type(fields["netuid"]) is int
        and 0 <= fields["netuid"] <= MAX_NETUID
        and isinstance(fields["hotkey"], str)
        and all(
            type(fields[name]) is int and 0 <= fields[name] <= MAX_ISSUED_NS
            for name in ("issued_ns", "expires_ns", "registry")
        )
        and isinstance(fields["payload"], dict)
    )


def _list_at(record: Record, key: str) -> list[Any]:
    value = record.payload.get(key)
    if not isinstance(value, list):
        raise errors.NetworkError(f"its payload has no list of {key}")
    return value
