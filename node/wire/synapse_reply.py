"""Reply headers of SDK 6-10 axons: what we answer to old dendrites, and how we read old axons.

Replies are not signed. An SDK axon signs some with texts that its caller chose, no dendrite ever
checks that, and it lets anybody make the axon sign a request to a third node (WIRE.md §2.7,
§2.10 item 7). Ours only names itself.

Nothing that a reply says of identity, nonce or address is read, and a header never turns an HTTP
error into a success (WIRE.md §2.8).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TypedDict

__all__ = ["ReplyStatus", "encode_error_body", "parse_reply_headers", "reply_headers"]

_OK = 200
_AXON = "bt_header_axon_"
_DENDRITE = "bt_header_dendrite_"
# An aiohttp client fails to read a reply with a header of over 8190 bytes.
_MAX_TEXT_CHARS = 512
_CODE = re.compile(r"[1-5][0-9]{2}")
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?")


class ReplyStatus(TypedDict, total=False):
    """What a reply may say about how it went.

    Attributes:
        status_code: Always there.
        status_message: Printable ASCII, at most 512 characters.
        process_time: Seconds, by the peer's clock.
    """

    status_code: int
    status_message: str
    process_time: float


def reply_headers(
    *,
    name: str,
    status: int,
    message: str = "",
    process_time_s: float | None = None,
    timeout: float | None = None,
    axon_hotkey: str = "",
    axon_ip: str = "",
    axon_port: int = 0,
    dendrite_hotkey: str = "",
    dendrite_nonce: int | None = None,
    dendrite_uuid: str = "",
    body_hash: str = "",
) -> dict[str, str]:
    """Return the headers that an old dendrite reads the outcome from, for OK and error replies.

    A dendrite of SDK 6-10 takes the status from these, not from HTTP: without a status code of
    200 a good reply counts as failed. Streams carry the same ones. What is left at its
    default is left out.

    Args:
        name: The route. `Synapse` for a route that is not known.
        status: HTTP status of the reply.
        message: A sentence; "Success" is put in for 200. Made printable ASCII and cut to 512
            characters, because an SDK 6-10 dendrite can't read more or other than latin-1.
        process_time_s: Seconds from request to reply.
        timeout: The request's timeout, in seconds.
        axon_hotkey: This node's address.
        axon_ip: This node's public address.
        axon_port: This node's public port.
        dendrite_hotkey: Address of the verified caller as it wrote it, or "". The dendrite puts
            it into its own record, which a reply without it empties.
        dendrite_nonce: The caller's nonce.
        dendrite_uuid: The caller's uuid.
        body_hash: `computed_body_hash` of the request.
    """
    fields: dict[str, object] = {
        "name": name,
        "timeout": None if timeout is None else float(timeout),
        f"{_AXON}status_code": status,
        f"{_AXON}status_message": message or ("Success" if status == _OK else None),
        f"{_AXON}process_time": None if process_time_s is None else float(process_time_s),
        f"{_AXON}ip": axon_ip or None,
        f"{_AXON}port": axon_port or None,
        f"{_AXON}hotkey": axon_hotkey or None,
        f"{_DENDRITE}nonce": dendrite_nonce,
        f"{_DENDRITE}uuid": dendrite_uuid or None,
        f"{_DENDRITE}hotkey": dendrite_hotkey or None,
        "computed_body_hash": body_hash or None,
    }
    return {key: _header_text(str(value)) for key, value in fields.items() if value is not None}


def encode_error_body(message: str) -> bytes:
    """Return the JSON body of an error reply, from which SDK 7.2-10 take the status message."""
    return json.dumps({"message": message}).encode()


def parse_reply_headers(headers: Mapping[str, str], *, http_status: int) -> ReplyStatus:
    """Return how a reply went, by its HTTP status first and its headers second.

    Args:
        headers: Reply headers, names in any case.
        http_status: HTTP status. Unless it is 200 it stands, whatever the headers say; where it is
            200 the headers may only make it worse.

    A header that can't be read is left out. The message is left out too where it goes with
    another status than the one returned. Of a header that appears twice the last counts.
    """
    said = {name.lower(): value for name, value in headers.items()}
    code = said.get(f"{_AXON}status_code", "")
    claimed = int(code) if _CODE.fullmatch(code) else http_status
    status = ReplyStatus(status_code=claimed if http_status == _OK else http_status)
    message = said.get(f"{_AXON}status_message")
    if message and claimed == status["status_code"]:
        status["status_message"] = _header_text(message)
    process_time = _parse_seconds(said.get(f"{_AXON}process_time", ""))
    if process_time is not None:
        status["process_time"] = process_time
    return status


def _header_text(text: str) -> str:
    """Return printable ASCII of at most 512 characters, `?` for what is not."""
    cut = text[:_MAX_TEXT_CHARS]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in cut)


def _parse_seconds(text: str) -> float | None:
    value = float(text) if _SECONDS.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None
