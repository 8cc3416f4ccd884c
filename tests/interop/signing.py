"""Signs for the synapse-header protocol by the words of WIRE.md §2, not by `node.wire`.

Tests send what this makes where no dendrite, old or ours, would send it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import Any

from node import Keypair, Synapse
from tests.raw_http import RawRequest

__all__ = ["signed_as_sdk"]

VERSION = "10005000"


def signed_as_sdk(
    keypair: Keypair,
    receiver: str,
    synapse: Synapse,
    *,
    nonce_ns: int | None = None,
    uuid: str = "6a1d0e7c-0000-11f0-8000-000000000000",
) -> RawRequest:
    """Return a request with the headers that an old axon needs, and the synapse's own fields."""
    nonce = time.time_ns() if nonce_ns is None else nonce_ns
    digest = _body_hash(synapse)
    message = f"{nonce}.{keypair.ss58_address}.{receiver}.{uuid}.{digest}"
    headers = {
        "name": synapse.name,
        "timeout": "12.0",
        "bt_header_axon_hotkey": receiver,
        "bt_header_dendrite_version": VERSION,
        "bt_header_dendrite_nonce": str(nonce),
        "bt_header_dendrite_uuid": uuid,
        "bt_header_dendrite_hotkey": keypair.ss58_address,
        "bt_header_dendrite_signature": "0x" + keypair.sign(message.encode()).hex(),
        **_input_objects(synapse),
        "computed_body_hash": digest,
        "Content-Type": "application/json",
    }
    target = f"/{synapse.name}"
    return RawRequest("POST", target, tuple(headers.items()), synapse.encode_body())


def _hash(text: str) -> str:
    return hashlib.sha3_256(text.encode()).hexdigest()


def _body_hash(synapse: Synapse) -> str:
    values = (getattr(synapse, name) for name in synapse.required_hash_fields)
    return _hash("".join(_hash(str(value)) for value in values))


def _input_objects(synapse: Synapse) -> dict[str, str]:
    objects: dict[str, str] = {}
    for name, info in type(synapse).model_fields.items():
        if info.is_required():
            empty: Any = type(getattr(synapse, name))()
            encoded = base64.b64encode(json.dumps(empty).encode()).decode()
            objects[f"bt_header_input_obj_{name}"] = encoded
    return objects
