"""`ganglion receipt verify`: what a node signed, read and checked from a file alone.

It needs no network, no wallet and no clock.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.errors import BadReceipt, ConfigError, InvalidAddress
from node.neuron.parsers import Parser
from node.neuron.terminal_text import one_line

if TYPE_CHECKING:
    from .saved_reply import Findings, SavedReply

__all__ = ["add_parser"]

_MAX_BYTES = 2**30
_HOLDS = {
    "signature": "the node's signature, which covers all of the above",
    "hotkey": "the node is the one that --hotkey names",
    "request": "the request is the one that was answered",
    "request_ends": "the request names the same caller, node and time",
    "request_body": "the request's body is the one that its caller signed",
    "reply": "the reply is the one that was signed, in all its bytes",
}
_UNKNOWN = {
    "hotkey": "whether that is the node you mean: --hotkey ADDRESS checks it",
    "request": "the request itself is not in the file",
    "request_ends": "whom the request names: it is not there, or not signed by btauth/1",
    "request_body": "the request's body: it is not there, or no request by btauth/1 that names it",
    "reply": "the reply itself is not in the file",
}
_ALWAYS_UNKNOWN = (
    "that the caller asked is the node's word: the caller's own signature is not in the file",
)


def add_parser(subparsers: Any) -> None:
    """Add the `receipt` command to an `argparse` sub-parser list."""
    about = "Check what a node signed about a reply."
    receipt = subparsers.add_parser("receipt", help=about, description=about, allow_abbrev=False)
    commands = receipt.add_subparsers(dest="receipt_command", metavar="COMMAND", required=True)
    verify: Parser = commands.add_parser(
        "verify",
        help="Check a receipt, or a reply that `ganglion query --save` wrote.",
        description="Check a receipt, or a reply that `ganglion query --save` wrote: the node's "
        "signature, and the request and the reply where the file has them. Needs no network and "
        "no wallet. Exits with 0 when all that is there holds, with 1 when something does not.",
        allow_abbrev=False,
    )
    verify.add_argument("file", metavar="FILE", help="JSON file; - is standard input")
    verify.add_argument("--hotkey", metavar="ADDRESS", help="the node that must have signed")
    verify.add_argument("--json", action="store_true", help="print JSON")
    verify.set_defaults(run=run_verify)


def run_verify(args: argparse.Namespace) -> int:
    """Check one file and print what was found.

    Returns:
        0 when everything that is there holds, 1 when something does not.

    Raises:
        ConfigError: The file is not there, can't be read, or is over 1 GiB; or --hotkey is no
            address.
    """
    from .saved_reply import SavedReply

    _check_hotkey(args.hotkey)
    data = _read(args.file)
    try:
        reply = SavedReply.parse(data)
        findings = reply.check(args.hotkey)
    except BadReceipt as error:
        if args.json:
            print(json.dumps({"holds": False, "reason": error.detail}, indent=2))
        else:
            name = "standard input" if args.file == "-" else one_line(args.file)
            sys.stderr.write(f"ganglion receipt: {name} does not hold: {one_line(error.detail)}\n")
        return 1
    if args.json:
        print(json.dumps(_document(reply, findings), indent=2))
    else:
        print("\n".join(_sentences(reply, findings)))
    return 0


def _check_hotkey(hotkey: str | None) -> None:
    from node.keys.ss58 import ss58_decode

    try:
        if hotkey is not None:
            ss58_decode(hotkey)
    except InvalidAddress as error:
        raise ConfigError(f"--hotkey can't be used: {error}") from error


def _read(name: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(name).expanduser().open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
    # A null byte in the name is a ValueError, a home folder of nobody a RuntimeError.
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{one_line(name)} can't be read: {reason}") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{one_line(name)} is over {_MAX_BYTES} bytes, too large to check")
    return data


def _sentences(reply: SavedReply, findings: Findings) -> Iterator[str]:
    from node.keys.ss58 import normalise_address

    receipt, lines = reply.receipt, reply.request_lines
    axon, caller = normalise_address(receipt.axon), normalise_address(receipt.caller)
    asked = f"request {receipt.request}" if lines is None else f"{lines.method} {lines.target}"
    yield f"{axon} answered {caller} with status {receipt.status}."
    yield ""
    yield f"asked     {one_line(asked)}"
    yield f"          {_moment(receipt.nonce_ns)}, by the caller's clock"
    yield f"answered  {_moment(receipt.started_ns)} to"
    yield f"          {_moment(receipt.ended_ns)}, by the node's clock"
    yield f"          {_duration_s(reply):.3f} s"
    yield f"reply     {_size(reply)}"
    yield f"          {one_line(_digest(receipt.reply))}"
    yield f"scheme    {one_line(receipt.scheme)}"
    yield ""
    yield "Checked:"
    yield from (f"- {_HOLDS[name]}" for name in findings.checked)
    yield "Not checked:"
    yield from (f"- {_UNKNOWN[name]}" for name in findings.not_checked)
    if findings.unsigned:
        yield f"- nobody signed these fields of the file: {one_line(', '.join(findings.unsigned))}"
    yield from (f"- {sentence}" for sentence in _ALWAYS_UNKNOWN)


def _document(reply: SavedReply, findings: Findings) -> dict[str, Any]:
    from node.keys.ss58 import normalise_address

    receipt, lines = reply.receipt, reply.request_lines
    return {
        "holds": True,
        "axon": normalise_address(receipt.axon),
        "caller": normalise_address(receipt.caller),
        "scheme": receipt.scheme,
        "method": lines.method if lines else None,
        "target": lines.target if lines else None,
        "status": receipt.status,
        "chunks": receipt.chunks,
        "bytes": reply.reply_bytes,
        "request_sha256": receipt.request,
        "reply_digest": receipt.reply,
        "nonce_ns": receipt.nonce_ns,
        "started_ns": receipt.started_ns,
        "ended_ns": receipt.ended_ns,
        "started": _iso(receipt.started_ns),
        "ended": _iso(receipt.ended_ns),
        "duration_s": _duration_s(reply),
        "checked": list(findings.checked),
        "not_checked": list(findings.not_checked),
        "unsigned": list(findings.unsigned),
    }


def _size(reply: SavedReply) -> str:
    count, size = reply.receipt.chunks, reply.reply_bytes
    pieces = "in one piece" if count == 0 else f"{count} chunk{'s' if count != 1 else ''}"
    return pieces if size is None else f"{pieces}, {size} bytes"


def _digest(reply: str) -> str:
    name, colon, digest = reply.partition(":")
    return f"{name.upper()} {digest}" if colon else f"SHA-256 {reply}"


def _duration_s(reply: SavedReply) -> float:
    return (reply.receipt.ended_ns - reply.receipt.started_ns) / 1e9


def _moment(ns: int) -> str:
    return _iso(ns).replace("T", " ").replace("+00:00", " UTC")


def _iso(ns: int) -> str:
    from .saved_reply import moment_of

    return moment_of(ns).isoformat(timespec="milliseconds")
