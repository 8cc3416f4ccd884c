"""A reply in a file: a receipt, and what it is about as far as that is there.

The file is one JSON object. `receipt` is the receipt. `request` is the text that the caller
signed (docs/protocol.md §5.1), `request_body` the body that this text names. `chunks`, a list, or
`body` is the reply. Bodies and chunks are base64. A bare receipt is such a file too.

Rule: nothing in the file is believed because it is there. What holds is told apart from what could
not be checked, and a file that can be read in two ways is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from node.errors import BadReceipt, ConfigError, InvalidAddress
from node.keys.ss58 import ss58_decode
from node.keys.storage import prepared_file, publish
from node.wire.receipt import Receipt
from node.wire.signed import digest_of_request

__all__ = ["Findings", "RequestLines", "SavedReply", "check_can_save", "moment_of"]

_REQUEST_NAME = "btauth/1"
_NO_RECEIVER = "-"
_KEYS = frozenset({"receipt", "request", "request_body", "chunks", "body"})
_RECEIPT_KEYS = frozenset(field.name for field in fields(Receipt))


class RequestLines(NamedTuple):
    """The lines that a caller signs in `btauth/1`, after the first, as they are written."""

    scheme: str
    method: str
    target: str
    body_sha256: str
    nonce_ns: str
    sender: str
    receiver: str

    @classmethod
    def parse(cls, request: bytes) -> Self | None:
        """Return the lines of a signed text; None where it is of another protocol.

        Raises:
            BadReceipt: It has not as many lines as it must have.
        """
        name, *lines = request.decode("utf-8", "surrogateescape").split("\n")
        if name != _REQUEST_NAME:
            return None
        if len(lines) != len(cls._fields):
            raise BadReceipt(f"the request is not the eight lines of {_REQUEST_NAME}")
        return cls(*lines)


class Findings(NamedTuple):
    """What a check found, as names in the order of checking.

    Attributes:
        checked: Of `signature`, `hotkey`, `request` (it is the one that was answered),
            `request_ends` (it names the same nonce, caller and node), `request_body` and `reply`:
            those that hold.
        not_checked: Those of them that could not be checked.
        unsigned: Other fields of the file, which nobody signed.
    """

    checked: tuple[str, ...]
    not_checked: tuple[str, ...]
    unsigned: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SavedReply:
    """A receipt, and what it is about as far as that is known.

    Attributes:
        receipt: The receipt.
        request: What the caller signed.
        request_body: The body of the request.
        chunks: The chunks of a streamed reply.
        body: The body of a unary one.
        unsigned: Names of other fields of the file.
    """

    receipt: Receipt
    request: bytes | None = None
    request_body: bytes | None = None
    chunks: tuple[bytes, ...] | None = None
    body: bytes | None = None
    unsigned: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return what a file holds; nothing is checked yet.

        Raises:
            BadReceipt: It is no receipt and no saved reply, or names a field twice.
        """
        document = _read_json(data)
        if "receipt" not in document:
            return cls(Receipt.of_document(document), unsigned=_others(document, _RECEIPT_KEYS))
        if {"chunks", "body"} <= document.keys():
            raise BadReceipt("it has both chunks and a body, and a reply is one of them")
        inner = document["receipt"]
        receipt = Receipt.of_document(inner)
        unsigned = _others(document, _KEYS)
        unsigned += tuple(f"receipt.{name}" for name in _others(inner, _RECEIPT_KEYS))
        return cls(
            receipt,
            request=_text(document, "request"),
            request_body=_bytes(document, "request_body"),
            chunks=_chunks(document),
            body=_bytes(document, "body"),
            unsigned=unsigned,
        )

    def encode(self) -> bytes:
        """Return the file's bytes, which `parse` reads."""
        document: dict[str, Any] = {"receipt": self.receipt.to_document()}
        if self.request is not None:
            document["request"] = self.request.decode("utf-8", "surrogateescape")
        if self.request_body is not None:
            document["request_body"] = _base64(self.request_body)
        if self.chunks is not None:
            document["chunks"] = [_base64(chunk) for chunk in self.chunks]
        if self.body is not None:
            document["body"] = _base64(self.body)
        return json.dumps(document, indent=1).encode() + b"\n"

    def write(self, folder: Path, label: str) -> Path:
        """Write the file, 0600, whole or not at all, and return its path.

        Its name has the label and when the request was signed, so that none replaces another.

        Raises:
            BadReceipt: The receipt's nonce is no time.
            WalletError: It can't be written.
        """
        moment = moment_of(self.receipt.nonce_ns)
        path = folder / f"{label}-{moment:%Y%m%dT%H%M%S}.{self.receipt.nonce_ns % 10**9:09}.json"
        with prepared_file(path, self.encode()) as temporary:
            publish(temporary, path, overwrite=False)
        return path

    def check(self, hotkey: str | None = None) -> Findings:
        """Check the signature, and all that is there against it.

        Args:
            hotkey: Address of the node that must have signed; None takes any.

        Raises:
            BadReceipt: Something that is there does not hold.
        """
        self.receipt.verify(hotkey)
        _key(self.receipt.caller, "the receipt's caller")
        for ns in (self.receipt.nonce_ns, self.receipt.started_ns, self.receipt.ended_ns):
            moment_of(ns)
        checks = {
            "signature": True,
            "hotkey": hotkey is not None,
            "request": self._check_request(),
            "request_ends": self._check_request_ends(),
            "request_body": self._check_request_body(),
            "reply": self._check_reply(),
        }
        return Findings(
            checked=tuple(name for name, holds in checks.items() if holds),
            not_checked=tuple(name for name, holds in checks.items() if not holds),
            unsigned=self.unsigned,
        )

    @property
    def request_lines(self) -> RequestLines | None:
        """The lines of the request; None without it, and for one of another protocol.

        Raises:
            BadReceipt: As `RequestLines.parse`.
        """
        return None if self.request is None else RequestLines.parse(self.request)

    @property
    def reply_bytes(self) -> int | None:
        """Bytes of the reply, None without it."""
        if self.chunks is not None:
            return sum(map(len, self.chunks))
        return None if self.body is None else len(self.body)

    def _check_request(self) -> bool:
        if self.request is None:
            return False
        self.receipt.check_request(digest_of_request(self.request))
        return True

    def _check_request_ends(self) -> bool:
        lines = self.request_lines
        if lines is None:
            return False
        if lines.nonce_ns != str(self.receipt.nonce_ns):
            raise BadReceipt("the receipt names another nonce than the request")
        caller = _key(self.receipt.caller, "the receipt's caller")
        if _key(lines.sender, "the request's sender") != caller:
            raise BadReceipt("the receipt names another caller than the request")
        if lines.receiver != _NO_RECEIVER:
            axon = _key(self.receipt.axon, "the receipt's axon")
            if _key(lines.receiver, "the request's receiver") != axon:
                raise BadReceipt("the request was for another node than the one that signed")
        return True

    def _check_request_body(self) -> bool:
        lines = self.request_lines
        if self.request_body is None or lines is None:
            return False
        if _sha256(self.request_body) != lines.body_sha256:
            raise BadReceipt("the request's body is not the one that its caller signed")
        return True

    def _check_reply(self) -> bool:
        if self.chunks is not None:
            self.receipt.check_chunks(self.chunks)
        elif self.body is not None:
            self.receipt.check_reply(_sha256(self.body), 0)
        else:
            return False
        return True


def check_can_save(folder: Path) -> None:
    """Make a folder for saved replies, 0700, unless it is there, and check that it takes files.

    Raises:
        ConfigError: It can't be made or written to.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"replies can't be saved in {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"replies can't be saved in {folder}: it can't be written to")


def moment_of(ns: int) -> datetime:
    """Return Unix nanoseconds as UTC, to the microsecond.

    Raises:
        BadReceipt: No calendar has them.
    """
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)
    except OverflowError as error:
        raise BadReceipt("one of the receipt's times is no time") from error


def _read_json(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise BadReceipt("it is not JSON, so it is no receipt and no saved reply") from error
    if not isinstance(document, dict):
        raise BadReceipt("a receipt is a JSON object")
    return document


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two readers one may take the first and one the last, so neither is taken.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadReceipt("it names a field twice")
    return found


def _others(document: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in document if name not in known)


def _text(document: dict[str, Any], name: str) -> bytes | None:
    if name not in document:
        return None
    text = document[name]
    if not isinstance(text, str):
        raise BadReceipt(f"its {name} is not a text")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise BadReceipt(f"its {name} is not UTF-8") from error


def _bytes(document: dict[str, Any], name: str) -> bytes | None:
    return _decoded(document[name], name) if name in document else None


def _chunks(document: dict[str, Any]) -> tuple[bytes, ...] | None:
    if "chunks" not in document:
        return None
    items = document["chunks"]
    if not isinstance(items, list):
        raise BadReceipt("its chunks are not a list")
    return tuple(_decoded(item, f"chunk {number}") for number, item in enumerate(items, 1))


def _decoded(text: Any, what: str) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    raise BadReceipt(f"its {what} is not base64")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _key(address: str, what: str) -> bytes:
    try:
        return ss58_decode(address)
    except InvalidAddress as error:
        raise BadReceipt(f"{what} is not an address") from error
