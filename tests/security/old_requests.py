"""Requests of every signing protocol, signed by the words of WIRE.md and not by `node.wire`.

Each signer takes the same arguments, so that a test can be run for all protocols, and each part
of what is signed can be chosen, so that a test can sign what no honest sender would.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid as uuids
from collections.abc import Callable
from typing import Any

from node import Keypair
from node.wire import ReplayGuard
from tests.raw_http import RawRequest

from .conftest import BODY, Target

__all__ = [
    "ALL",
    "MALLORY",
    "NOTHING_HASHED",
    "OLD",
    "SIGNATURE",
    "SIGNERS",
    "body_hash",
    "flip",
    "hostile",
    "node",
    "sign_btauth",
    "sign_epistula",
    "sign_epistula1",
    "sign_synapse",
    "signed",
]

S = 10**9
ALL = ("btauth", "synapse", "epistula", "epistula1")
OLD = ALL[1:]

# The header that holds each protocol's signature.
SIGNATURE = {
    "btauth": "X-Bittensor-Signature",
    "synapse": "bt_header_dendrite_signature",
    "epistula": "Epistula-Request-Signature",
    "epistula1": "Body-Signature",
}
MALLORY = Keypair.from_uri("//Mallory")
SESSION = "6a1d0e7c-0000-11f0-8000-000000000000"
JSON = ("Content-Type", "application/json")


def sha3(text: str) -> str:
    return hashlib.sha3_256(text.encode()).hexdigest()


def body_hash(*values: object) -> str:
    """Return the hash of hashed fields (WIRE.md §2.3)."""
    return sha3("".join(sha3(str(value)) for value in values))


NOTHING_HASHED = body_hash()


def seal(keypair: Keypair, message: bytes, *, wrap: bool) -> str:
    """Return a signature, over what a browser wallet makes of the message if `wrap` is set."""
    wrapped = b"<Bytes>" + message + b"</Bytes>"
    return "0x" + keypair.sign(wrapped if wrap else message).hex()


def sign_btauth(
    keypair: Keypair,
    receiver: str | None,
    target: str = "/Echo",
    body: bytes = BODY,
    *,
    nonce_ns: int | None = None,
    sender: str | None = None,
    wrap: bool = False,
) -> RawRequest:
    """Sign as SDK 11 does (WIRE.md §1)."""
    nonce = time.time_ns() if nonce_ns is None else nonce_ns
    sender = sender or keypair.ss58_address
    digest = hashlib.sha256(body).hexdigest()
    lines = ["btauth/1", "sr25519", "POST", target, digest, str(nonce), sender, receiver or "-"]
    headers = [
        ("X-Bittensor-Version", "1"),
        ("X-Bittensor-Hotkey", sender),
        ("X-Bittensor-Nonce", str(nonce)),
        ("X-Bittensor-Signature", seal(keypair, "\n".join(lines).encode(), wrap=wrap)),
    ]
    if receiver is not None:
        headers.append(("X-Bittensor-Receiver", receiver))
    return RawRequest("POST", target, (*headers, JSON), body)


def sign_synapse(
    keypair: Keypair,
    receiver: str,
    target: str = "/Echo",
    body: bytes = BODY,
    *,
    nonce_ns: int | None = None,
    sender: str | None = None,
    wrap: bool = False,
    hashed: str = NOTHING_HASHED,
    uuid: str = SESSION,
    timeout: str = "12.0",
    version: str = "10005000",
) -> RawRequest:
    """Sign as a dendrite of SDK 10 does (WIRE.md §2.1, §2.4)."""
    nonce = time.time_ns() if nonce_ns is None else nonce_ns
    sender = sender or keypair.ss58_address
    message = f"{nonce}.{sender}.{receiver}.{uuid}.{hashed}".encode()
    headers = (
        ("name", target.removeprefix("/")),
        ("timeout", timeout),
        ("bt_header_axon_hotkey", receiver),
        ("bt_header_dendrite_version", version),
        ("bt_header_dendrite_nonce", str(nonce)),
        ("bt_header_dendrite_uuid", uuid),
        ("bt_header_dendrite_hotkey", sender),
        ("bt_header_dendrite_signature", seal(keypair, message, wrap=wrap)),
        ("bt_header_input_obj_text", "IiI="),
        ("computed_body_hash", hashed),
        JSON,
    )
    return RawRequest("POST", target, headers, body)


def sign_epistula(
    keypair: Keypair,
    receiver: str | None,
    target: str = "/Echo",
    body: bytes = BODY,
    *,
    nonce_ns: int | None = None,
    sender: str | None = None,
    wrap: bool = False,
    uuid: str | None = None,
    timestamp: str | None = None,
) -> RawRequest:
    """Sign as Epistula 2 says (WIRE.md §4.1); `timestamp` is in place of `nonce_ns`."""
    nonce = time.time_ns() if nonce_ns is None else nonce_ns
    stamp = str(nonce // 1_000_000) if timestamp is None else timestamp
    token = uuid or str(uuids.uuid4())
    message = f"{hashlib.sha256(body).hexdigest()}.{token}.{stamp}.{receiver or ''}".encode()
    headers = [
        ("Epistula-Version", "2"),
        ("Epistula-Timestamp", stamp),
        ("Epistula-Uuid", token),
        ("Epistula-Signed-By", sender or keypair.ss58_address),
        ("Epistula-Request-Signature", seal(keypair, message, wrap=wrap)),
    ]
    if receiver is not None:
        headers.append(("Epistula-Signed-For", receiver))
    return RawRequest("POST", target, (*headers, JSON), body)


def sign_epistula1(
    keypair: Keypair,
    receiver: str | None,
    target: str = "/Echo",
    body: bytes = BODY,
    *,
    nonce_ns: int | None = None,
    sender: str | None = None,
    wrap: bool = False,
) -> RawRequest:
    """Sign as Epistula 1 says (WIRE.md §3); `body` is what the letter holds."""
    letter = json.dumps(
        {
            "data": json.loads(body),
            "nonce": time.time_ns() if nonce_ns is None else nonce_ns,
            "signed_by": sender or keypair.ss58_address,
            "signed_for": receiver,
            "version": 1,
        }
    ).encode()
    headers = (("Body-Signature", seal(keypair, letter, wrap=wrap)), JSON)
    return RawRequest("POST", target, headers, letter)


SIGNERS: dict[str, Callable[..., RawRequest]] = {
    "btauth": sign_btauth,
    "synapse": sign_synapse,
    "epistula": sign_epistula,
    "epistula1": sign_epistula1,
}


def node(bob: Keypair, alice: Keypair, **options: Any) -> Target:
    """Return Bob's node, which speaks everything unless told otherwise; Alice sends to it."""
    options = {"protocols": ALL, "guard": ReplayGuard(window_s=31), **options}
    return Target(bob, alice, **options)


def signed(target: Target, protocol: str, /, **parts: Any) -> RawRequest:
    """Return what the sender sends in a protocol, with parts of it chosen."""
    keypair = parts.pop("keypair", target.sender)
    return SIGNERS[protocol](keypair, target.hotkey, **parts)


def flip(request: RawRequest, protocol: str) -> RawRequest:
    """Return the request with one digit of its signature changed."""
    value = request.value(SIGNATURE[protocol])
    return request.set(SIGNATURE[protocol], value[:-1] + ("0" if value[-1] != "0" else "1"))


def hostile(target: Target, protocol: str) -> dict[str, RawRequest | bytes]:
    """Return requests of strangers, by what is wrong with each."""
    good = signed(target, protocol)
    late = signed(target, protocol, nonce_ns=time.time_ns() - 60 * S)
    return {
        "unsigned": good.without(SIGNATURE[protocol]),
        "forged": flip(good, protocol),
        "signed by another": signed(
            target, protocol, keypair=MALLORY, sender=target.sender.ss58_address
        ),
        "for another node": SIGNERS[protocol](target.sender, MALLORY.ss58_address),
        "late": late,
        "wrapped": signed(target, protocol, wrap=True),
        "no route": signed(target, protocol, target="/Nope"),
        "no method": good.change(method="GET"),
        "other body": flip(good.change(body=good.body + b" "), protocol),
        "no protocol": RawRequest("POST", "/Echo", (), BODY),
        "the page": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "no HTTP": b"\x00\r\n\r\n",
    }
