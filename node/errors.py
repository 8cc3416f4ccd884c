"""Every error that Ganglion raises on purpose, in one tree.

The first level below `NodeError` says whose fault it is::

    NodeError
    ├── ConfigError                 the operator: a flag, a key, a value, a port
    ├── WalletError                 the operator: key files, passwords, addresses
    │   ├── InvalidAddress
    │   ├── InvalidSecret
    │   ├── WalletNotFound
    │   ├── WalletExists
    │   ├── CorruptKeyfile
    │   └── WrongPassword
    ├── NetworkError                the registry: locked, not ours, not reachable
    │   └── NotRegistered
    ├── StateError                  a validator's own file: locked, another's, or damaged
    ├── RouteError                  the programmer, when a forward is attached
    ├── StreamMisuse                the programmer, when a typed stream is written or read
    ├── WireError                   what an axon may answer: `code`, `status`, `retry_after`
    │   ├── MalformedRequest   400
    │   ├── AuthError          401  MissingSignature, BadSignature, WrongReceiver,
    │   │                           StaleRequest, ReplayedRequest, BodyMismatch
    │   ├── Forbidden          403
    │   ├── UnknownRoute       404
    │   ├── MethodNotAllowed   405
    │   ├── BodyTimeout        408
    │   ├── BodyTooLarge       413
    │   ├── InvalidBody        422
    │   ├── RateLimited        429
    │   ├── ForwardFailed      500
    │   └── Overloaded         503
    │       └── OutOfTouch
    └── CallError                   what a dendrite may raise: `peer`, `retry_safe`, `status`
        ├── PeerUnreachable
        │   └── PeerDormant         `retry_after`
        ├── PeerTimeout             `phase`: connect, first_byte, idle, total
        ├── PeerRefused             `status`, `code`
        ├── StreamInterrupted       `chunks`
        ├── BadReply
        │   └── BadStream           `CutStream`: it broke off
        └── BadReceipt

A `WireError` has two texts. `public` goes to the caller and is constant for its code wherever a
detail could help a prober; `str(error)` is for the node's own log and may say more. Neither ever
holds a secret, a signature or a body.
"""

from __future__ import annotations

from typing import ClassVar, Self

__all__ = [
    "AuthError",
    "BadReceipt",
    "BadReply",
    "BadSignature",
    "BadStream",
    "BodyMismatch",
    "BodyTimeout",
    "BodyTooLarge",
    "CallError",
    "ConfigError",
    "CorruptKeyfile",
    "CutStream",
    "Forbidden",
    "ForwardFailed",
    "InvalidAddress",
    "InvalidBody",
    "InvalidSecret",
    "MalformedRequest",
    "MethodNotAllowed",
    "MissingSignature",
    "NetworkError",
    "NodeError",
    "NotRegistered",
    "OutOfTouch",
    "Overloaded",
    "PeerDormant",
    "PeerRefused",
    "PeerTimeout",
    "PeerUnreachable",
    "RateLimited",
    "ReplayedRequest",
    "RouteError",
    "StaleRequest",
    "StateError",
    "StreamInterrupted",
    "StreamMisuse",
    "UnknownRoute",
    "WalletError",
    "WalletExists",
    "WalletNotFound",
    "WireError",
    "WrongPassword",
    "WrongReceiver",
]


class NodeError(Exception):
    """Root of every error that this library raises on purpose."""


class ConfigError(NodeError):
    """A flag, environment variable, profile key or value can't be used as given."""


class WalletError(NodeError):
    """A key file, password, phrase or address can't be used."""


class InvalidAddress(WalletError, ValueError):
    """A text is not an SS58 address of a 32-byte key."""


class InvalidSecret(WalletError, ValueError):
    """A seed, mnemonic phrase, secret URI or private key can't make a keypair."""


class WalletNotFound(WalletError):
    """A wallet folder or key file that was asked for is not there."""


class WalletExists(WalletError):
    """A key file is already there and was not to be replaced."""


class CorruptKeyfile(WalletError):
    """A key file is there but is not one that any known writer makes."""


class WrongPassword(WalletError):
    """The password does not open the key file."""


class NetworkError(NodeError):
    """A registry can't be read or written: locked, unreachable, or not one of ours."""


class NotRegistered(NetworkError):
    """The hotkey has no uid on this network."""


class StateError(NodeError):
    """A validator's state can't be read or written: in use, another's, damaged, or no room."""


class RouteError(NodeError):
    """A forward function can't be attached; the text names it and says what to change."""


class StreamMisuse(NodeError, ValueError):
    """A typed stream is written or read against its types: wrong order, class or value."""


class WireError(NodeError):
    """A request that an axon answers with an error reply.

    Args:
        detail: For the node's own log. Never sent to the caller unless the class says so.
        retry_after: Seconds after which the same request may succeed, where that is known.

    Attributes:
        status: HTTP status of the reply.
        code: Stable machine-readable name of the class, constant across versions.
        public: The sentence that the caller is sent.
        retry_after: As given, or None.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "wire_error"
    text: ClassVar[str] = "The request can't be served."

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail or self.text)
        self.retry_after = retry_after

    @property
    def public(self) -> str:
        """The sentence for the caller; constant unless a subclass says otherwise."""
        return self.text


class _Spoken(WireError):
    """A wire error whose detail is written for the caller and is sent to it."""

    @property
    def public(self) -> str:
        return str(self)


class MalformedRequest(_Spoken):
    """The HTTP request is not one that any protocol here could have made (400)."""

    status = 400
    code = "malformed_request"
    text = "The request is malformed."


class AuthError(WireError):
    """The caller did not prove who it is (401). The public text is constant per code."""

    status = 401
    code = "unauthorized"
    text = "The request is not authenticated."


class MissingSignature(AuthError):
    """A header that signing needs is absent, so nobody vouches for the request."""

    code = "missing_signature"
    text = "The request is not signed."


class BadSignature(AuthError):
    """The signature, or a header that it needs, is not valid for this request."""

    code = "bad_signature"
    text = "The request's signature is not valid."


class WrongReceiver(AuthError):
    """The request was signed for another node, or for none where one is required."""

    code = "wrong_receiver"
    text = "The request was not signed for this node."


class StaleRequest(AuthError):
    """The request's time is outside the window.

    Args:
        detail: For the log.
        clock_offset_s: This node's clock less the request's nonce, in seconds; positive when the
            request is old or its sender's clock is behind. Sent to the caller, so that an honest
            peer with a wrong clock learns how wrong it is.
    """

    code = "stale_request"
    text = "The request's time is outside this node's window; compare your clock."

    def __init__(self, detail: str = "", *, clock_offset_s: float = 0.0) -> None:
        super().__init__(detail)
        self.clock_offset_s = clock_offset_s

    @classmethod
    def by(cls, age_ns: int, detail: str) -> Self:
        """Return the error for a nonce that is `age_ns` behind this node's clock."""
        # A forged nonce can be any integer, and a float can't hold all of them.
        offset_ms = max(-(10**15), min(10**15, age_ns // 1_000_000))
        return cls(detail, clock_offset_s=offset_ms / 1000)


class ReplayedRequest(AuthError):
    """The same sender used this nonce before."""

    code = "replayed_request"
    text = "This request was already accepted once."


class BodyMismatch(AuthError):
    """The body is not the one that the signature covers."""

    code = "body_mismatch"
    text = "The request's body is not the one that was signed."


class Forbidden(_Spoken):
    """The caller is known and not allowed (403); the reason is sent."""

    status = 403
    code = "forbidden"
    text = "This caller is not allowed."


class UnknownRoute(WireError):
    """No forward is attached under that name (404). The reply never lists the names."""

    status = 404
    code = "unknown_route"
    text = "This node does not serve that route."


class MethodNotAllowed(WireError):
    """The route exists and takes another HTTP method (405)."""

    status = 405
    code = "method_not_allowed"
    text = "This route takes POST."


class BodyTimeout(WireError):
    """The request body did not arrive in time (408)."""

    status = 408
    code = "body_timeout"
    text = "The request's body did not arrive in time."


class BodyTooLarge(_Spoken):
    """The request body is over the cap (413); the cap is sent."""

    status = 413
    code = "body_too_large"
    text = "The request's body is too large."


class InvalidBody(_Spoken):
    """The body is not JSON, or not of the route's type (422).

    Args:
        detail: A sentence for the caller.
        fields: Pairs of field path and reason; never the value.
    """

    status = 422
    code = "invalid_body"
    text = "The request's body does not fit this route."

    def __init__(self, detail: str = "", *, fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.fields = fields


class RateLimited(_Spoken):
    """The caller sends more than it may (429), with `retry_after`."""

    status = 429
    code = "rate_limited"
    text = "This caller sends more requests than it may."


class ForwardFailed(WireError):
    """The forward function raised (500). The public text says nothing of why.

    Args:
        detail: For the log.
        error_id: Also in the reply, so that an operator can find the log line it belongs to.
    """

    status = 500
    code = "forward_failed"
    text = "The node failed while answering."

    def __init__(self, detail: str = "", *, error_id: str = "") -> None:
        super().__init__(detail)
        self.error_id = error_id


class Overloaded(WireError):
    """The node has no room for the request now (503), with `retry_after`."""

    status = 503
    code = "overloaded"
    text = "The node has no room for this request now."


class OutOfTouch(Overloaded):
    """The node can't reach what it must ask before it lets a caller in (503), with `retry_after`.

    Nothing is wrong with the request or its sender.
    """

    code = "out_of_touch"
    text = "The node can't check its callers now; try again later."


class CallError(NodeError):
    """A request to a peer did not give a usable reply.

    Args:
        detail: A sentence that names what happened; the peer is put before it.
        peer: The peer as text, `HOTKEY@HOST:PORT`, or "" where unknown.
        retry_safe: Whether the peer can't have started on the request, so that sending it
            again can't run it twice.

    Attributes:
        status: The number that `synapse.dendrite.status_code` gets when errors are values.
    """

    status: int = 500

    def __init__(self, detail: str, *, peer: str = "", retry_safe: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.peer = peer
        self.retry_safe = retry_safe

    def __str__(self) -> str:
        return f"{self.peer}: {self.detail}" if self.peer else self.detail


class PeerUnreachable(CallError):
    """No connection, or it closed before a reply began (503)."""

    status = 503


class PeerDormant(PeerUnreachable):
    """Nothing was sent, because the peer was not there several times in a row (503).

    Args:
        detail: As for `CallError`.
        retry_after: Seconds after which a request is let out again.
        peer: As for `CallError`.
    """

    def __init__(self, detail: str, *, retry_after: float, peer: str = "") -> None:
        super().__init__(detail, peer=peer, retry_safe=True)
        self.retry_after = retry_after


class PeerTimeout(CallError):
    """A deadline passed (408).

    Args:
        detail: As for `CallError`.
        phase: `connect`, `first_byte`, `idle` or `total`.
        peer: As for `CallError`.
        retry_safe: As for `CallError`.
    """

    status = 408

    def __init__(
        self, detail: str, *, phase: str, peer: str = "", retry_safe: bool = False
    ) -> None:
        super().__init__(detail, peer=peer, retry_safe=retry_safe)
        self.phase = phase


class PeerRefused(CallError):
    """The peer answered with an error status, or ended a stream with an error frame.

    Args:
        detail: The peer's own sentence, cut to a sane length.
        status: Its HTTP status.
        code: Its machine-readable code, or "".
        peer: As for `CallError`.
        retry_safe: As for `CallError`.
        retry_after: Seconds that the peer asks to wait, or None.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        code: str = "",
        peer: str = "",
        retry_safe: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, peer=peer, retry_safe=retry_safe)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class StreamInterrupted(CallError):
    """A stream ended without its END, or its reader closed it early (503).

    Args:
        detail: As for `CallError`.
        chunks: How many chunks had arrived whole.
        peer: As for `CallError`.
    """

    status = 503

    def __init__(self, detail: str, *, chunks: int, peer: str = "") -> None:
        super().__init__(detail, peer=peer)
        self.chunks = chunks


class BadReply(CallError):
    """The peer answered with something that is not a reply to this request (422)."""

    status = 422


class BadStream(BadReply, ValueError):
    """The bytes are not a typed stream of these types: order, kind, length or content."""


class CutStream(BadStream, EOFError):
    """A typed stream broke off inside a frame."""


class BadReceipt(CallError):
    """The peer's signed receipt does not match what it sent (422)."""

    status = 422
