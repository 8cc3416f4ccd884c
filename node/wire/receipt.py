"""Receipts: a node signs what it answered, so that a caller can prove it later.

A receipt names the request by the digest of what its sender signed, and the reply by the digest
of what was sent, so it fits one exchange only. It is checked with the node's key and nothing else
(docs/protocol.md §8).

Rule: only an axon that has verified a caller makes one. The text that is signed begins with its
own name, so no receipt can pass for a request, nor a request for a receipt.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Self

import pydantic_core

from node.errors import BadReceipt, BadSignature, InvalidAddress
from node.keys.keypair import Keypair
from node.keys.signatures import verify_signature
from node.keys.ss58 import ss58_decode

from .caller import Caller
from .reply_digest import ReplyDigest

__all__ = ["RECEIPT_HEADER", "Receipt", "sign_receipt"]

RECEIPT_HEADER = "X-Ganglion-Receipt"

_NAME = "ganglion/receipt/1"
_write_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a node signed about one reply.

    Attributes:
        axon: Address of the node that signed.
        caller: Address of whoever asked.
        nonce_ns: Nonce of the request.
        request: SHA-256 in hex of what the caller signed.
        status: HTTP status of the reply.
        chunks: Chunks of a stream; 0 for a unary reply.
        reply: `ReplyDigest.signed_text` of a stream, or SHA-256 of a unary body, in hex.
        started_ns: The node's clock when the request was admitted, Unix nanoseconds.
        ended_ns: The node's clock when the reply was complete.
        scheme: The node's signature scheme.
        signature: In hex with `0x`.
    """

    axon: str
    caller: str
    nonce_ns: int
    request: str
    status: int
    chunks: int
    reply: str
    started_ns: int
    ended_ns: int
    scheme: str
    signature: str

    @classmethod
    def of_document(cls, document: Any) -> Self:
        """Return the receipt in a JSON document; its signature is not checked yet.

        Raises:
            BadReceipt: The document is no receipt.
        """
        if not isinstance(document, dict):
            raise BadReceipt("a receipt is a JSON object")
        values: dict[str, Any] = {}
        for name, wanted in _FIELDS.items():
            value = document.get(name)
            if type(value) is not wanted:
                raise BadReceipt(f"the receipt's {name} is missing or of the wrong type")
            values[name] = value
        return cls(**values)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Return the receipt in stored bytes; its signature is not checked yet.

        Raises:
            BadReceipt: The bytes are no receipt.
        """
        try:
            # pydantic's parser bounds the depth, where that of `json` raises RecursionError.
            return cls.of_document(pydantic_core.from_json(data))
        except ValueError as error:
            raise BadReceipt("a receipt is a JSON object") from error

    @classmethod
    def of_header(cls, text: str) -> Self:
        """Return the receipt in the value of a header; its signature is not checked yet.

        Raises:
            BadReceipt: The value is no receipt.
        """
        try:
            return cls.parse(base64.urlsafe_b64decode(text))
        except ValueError as error:
            raise BadReceipt("a receipt's header is base64 of a JSON object") from error

    def to_header(self) -> str:
        """Return the value of a header, which `of_header` reads."""
        return base64.urlsafe_b64encode(self.encode()).decode()

    def to_document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {name: getattr(self, name) for name in _FIELDS}

    def encode(self) -> bytes:
        """Return bytes to store, which `parse` reads."""
        return _write_json(self.to_document()).encode()

    def verify(self, hotkey: str | None = None) -> None:
        """Check the signature; needs nothing but this receipt.

        Args:
            hotkey: Address of the node that must have signed, in any prefix; None takes the one
                that the receipt names.

        Raises:
            BadReceipt: The signature does not hold, or another node signed.
        """
        try:
            key = ss58_decode(self.axon)
            if hotkey is not None and ss58_decode(hotkey) != key:
                raise BadReceipt(f"the receipt is of {self.axon}, not of {hotkey}")
            signature = bytes.fromhex(self.signature.removeprefix("0x"))
            verify_signature(self.scheme, key, self._signed_text(), signature)
        except (BadSignature, InvalidAddress, ValueError) as error:
            raise BadReceipt("the receipt's signature does not hold") from error

    def check_request(self, request: str) -> None:
        """Check that it is for the request whose signed text has this SHA-256, in hex.

        Raises:
            BadReceipt: It is for another.
        """
        if self.request != request:
            raise BadReceipt("the receipt is for another request")

    def check_reply(self, reply: str, chunks: int) -> None:
        """Check that it is for a reply of this digest and number of chunks.

        Args:
            reply: The digest, spelt as in `Receipt.reply`.
            chunks: How many chunks came; 0 for a unary reply.

        Raises:
            BadReceipt: It is for another, or by a digest that is not known here.
        """
        if (self.reply, self.chunks) != (reply, chunks):
            ReplyDigest.like(self.reply)  # one that is not known could never match: say that
            raise BadReceipt("the receipt is for another reply than the one that came")

    def check_chunks(self, chunks: Iterable[bytes]) -> None:
        """Check that it is for a stream of these chunks, by the digest that it names.

        Raises:
            BadReceipt: One is missing, added, altered or out of order; or the digest is not known
                here.
        """
        digest = ReplyDigest.like(self.reply)
        for chunk in chunks:
            digest.add(chunk)
        self.check_reply(digest.signed_text(), digest.chunks)

    def _signed_text(self) -> bytes:
        return _signed_text(
            scheme=self.scheme,
            axon=self.axon,
            caller=self.caller,
            nonce_ns=self.nonce_ns,
            request=self.request,
            status=self.status,
            chunks=self.chunks,
            reply=self.reply,
            started_ns=self.started_ns,
            ended_ns=self.ended_ns,
        )


_FIELDS = {field.name: int if field.type == "int" else str for field in fields(Receipt)}


def sign_receipt(
    keypair: Keypair,
    caller: Caller,
    *,
    status: int,
    chunks: int,
    reply: str,
    started_ns: int,
    ended_ns: int,
) -> Receipt:
    """Return the receipt of a reply to a verified caller.

    Args:
        keypair: The node's hotkey.
        caller: Who asked; names the request.
        status: HTTP status of the reply.
        chunks: Chunks of a stream; 0 for a unary reply.
        reply: Digest of the reply, spelt as in `Receipt.reply`.
        started_ns: Clock when the request was admitted.
        ended_ns: Clock now.

    Raises:
        WalletError: `keypair` holds no secret.
    """
    named: dict[str, Any] = {
        "axon": keypair.ss58_address,
        "caller": caller.hotkey,
        "nonce_ns": caller.nonce_ns,
        "request": caller.request_digest,
        "status": status,
        "chunks": chunks,
        "reply": reply,
        "started_ns": started_ns,
        "ended_ns": ended_ns,
        "scheme": keypair.scheme,
    }
    return Receipt(**named, signature="0x" + keypair.sign(_signed_text(**named)).hex())


def _signed_text(
    *,
    scheme: str,
    axon: str,
    caller: str,
    nonce_ns: int,
    request: str,
    status: int,
    chunks: int,
    reply: str,
    started_ns: int,
    ended_ns: int,
) -> bytes:
    lines = (
        _NAME, scheme, axon, caller, nonce_ns, request, status, chunks, reply, started_ns, ended_ns,
    )  # fmt: skip
    return "\n".join(map(str, lines)).encode("utf-8", "surrogatepass")
