"""Signing for axons of SDK 6 to 10 (WIRE.md §2.1, §2.2, §2.4)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from node.errors import ConfigError, WalletError
from node.keys.keypair import Keypair
from node.keys.ss58 import normalise_address

from .header_fields import is_token
from .input_objects import input_headers

__all__ = ["VERSION", "sign", "signed_payload", "version_number"]

_SCHEME = "sr25519"
_DENDRITE = "bt_header_dendrite_"
_HASH_TEXT = re.compile(r"[0-9a-f]{64}")
_VERSION_TEXT = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})")
_NEW_SCHEME = (7, 2, 0)


def version_number(text: str) -> int:
    """Return the number by which SDKs tell each other their version (WIRE.md §2.2).

    Versions before 7.2.0 give `100 * major + 10 * minor + patch`, later ones
    `1_000_000 * major + 1000 * minor + patch`.

    Raises:
        ConfigError: The text is not `major.minor.patch`.
    """
    match = _VERSION_TEXT.fullmatch(text)
    if match is None:
        raise ConfigError(f"a version is written like 10.5.0, not {text[:20]!r}")
    major, minor, patch = (int(part) for part in match.groups())
    if (major, minor, patch) < _NEW_SCHEME:
        return 100 * major + 10 * minor + patch
    return 1_000_000 * major + 1000 * minor + patch


VERSION = version_number("10.5.0")
"""What we say we are: the newest SDK whose wire this is. From 7.2.0 on, an axon checks how old our
nonces are; to a lower number it would grant requests of any age."""


def signed_payload(
    *, nonce_ns: int, sender: str, receiver: str, uuid: str, body_hash: str
) -> bytes:
    """Return the exact bytes that are signed (WIRE.md §2.4)."""
    return f"{nonce_ns}.{sender}.{receiver}.{uuid}.{body_hash}".encode()


def sign(
    keypair: Keypair,
    *,
    method: str,
    target: str,
    body: bytes,
    receiver: str | None,
    nonce_ns: int,
    name: str,
    timeout: float,
    uuid: str,
    body_hash: str,
    version: int = VERSION,
    inputs: Mapping[str, Any] | None = None,
    axon_ip: str = "",
    axon_port: int = 0,
    dendrite_ip: str = "",
) -> dict[str, str]:
    """Return the headers that prove `keypair` sent this request to `receiver`.

    Args:
        keypair: The sender's hotkey, sr25519.
        method: Not signed by this protocol; a real axon takes POST, and GET with a body.
        target: Not signed by this protocol; a real axon serves `/ClassName`.
        body: Not signed as bytes; `body_hash` covers what is hashed of it.
        receiver: The axon's address.
        nonce_ns: Unix nanoseconds. Axons of SDK 7.2-10 want it within `4 s + timeout` of their
            clock where they have not seen this uuid, and all of them want each nonce of a
            uuid to be above the last one that arrived. An SDK 6 axon compares with nothing
            else, so Unix time serves there too. Requests of one uuid that overtake each other are
            refused by all of them.
        name: The route.
        timeout: Seconds that the sender waits in all.
        uuid: The sender's session, 1 to 64 letters, digits, `-` and `_`. Axons keep the last nonce
            of each uuid for ever, so it should not change with every request.
        body_hash: As `body_hash()` gives it.
        version: Ours. Lower than 7_002_000 asks the axon not to look at the nonce's age.
        inputs: Values of the fields that have no default, for `input_headers`.
        axon_ip: Informational; left out when empty.
        axon_port: Informational; left out when 0.
        dendrite_ip: Informational; left out when empty.

    Raises:
        WalletError: `keypair` is not sr25519, or holds no secret.
        InvalidAddress: `receiver` is not an address.
        ConfigError: There is no receiver, or the uuid, body hash or timeout is malformed.
    """
    axon = _check_outgoing(keypair, receiver, uuid, body_hash, timeout)
    payload = signed_payload(
        nonce_ns=nonce_ns,
        sender=keypair.ss58_address,
        receiver=axon,
        uuid=uuid,
        body_hash=body_hash,
    )
    return {
        "name": name,
        "timeout": str(float(timeout)),
        **({"bt_header_axon_ip": axon_ip} if axon_ip else {}),
        **({"bt_header_axon_port": str(axon_port)} if axon_port else {}),
        "bt_header_axon_hotkey": axon,
        **({_DENDRITE + "ip": dendrite_ip} if dendrite_ip else {}),
        _DENDRITE + "version": str(version),
        _DENDRITE + "nonce": str(nonce_ns),
        _DENDRITE + "uuid": uuid,
        _DENDRITE + "hotkey": keypair.ss58_address,
        _DENDRITE + "signature": "0x" + keypair.sign(payload).hex(),
        **input_headers(inputs or {}),
        "computed_body_hash": body_hash,
    }


def _check_outgoing(
    keypair: Keypair, receiver: str | None, uuid: str, body_hash: str, timeout: float
) -> str:
    """Return the receiver's address as the receiver itself writes it.

    The signed text is joined by dots, so a peer that could choose one of its parts freely would
    choose the others as well; each is checked, also where it comes from a registry.
    """
    if keypair.scheme != _SCHEME:
        raise WalletError(f"SDK 6-10 only know sr25519 hotkeys; this one is {keypair.scheme}")
    if receiver is None:
        raise ConfigError("a request to an SDK 6-10 axon is always signed for one receiver")
    if not is_token(uuid):
        raise ConfigError("a session uuid is 1 to 64 letters, digits, - and _")
    if _HASH_TEXT.fullmatch(body_hash) is None:
        raise ConfigError("a body hash is 64 lower-case hex digits, as body_hash() gives it")
    if not 0 <= timeout < math.inf:
        raise ConfigError("a timeout is a number of seconds, not negative and not infinite")
    return normalise_address(receiver)
