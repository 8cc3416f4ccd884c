"""Epistula, versions 2 and 1, as its senders meet this axon (WIRE.md §3, §4).

Neither signs the method or the route, so a request that was sent to one route of this node can be
sent to another by whoever sees it, once: the replay memory takes each uuid, or nonce, one time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from node.axon.admission import Rules
from node.axon.dialect import Dialect
from node.axon.reply import Reply, body_reply, error_document, error_reply
from node.errors import WireError
from node.synapse import Synapse
from node.wire import Caller, epistula, epistula_v1

__all__ = ["EpistulaDialect", "EpistulaV1Dialect"]


class _DetailDialect(Dialect):
    """Error replies also say `detail`, where clients of this protocol look."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def failure(self, error: WireError, headers: Mapping[str, str]) -> Reply:
        """Return the usual error reply with its message as `detail` too."""
        document = {**error_document(error), "detail": error.public}
        reply = body_reply(error.status, json.dumps(document).encode())
        if "Retry-After" in (usual := error_reply(error).headers):
            reply.headers["Retry-After"] = usual["Retry-After"]
        return reply


class EpistulaDialect(_DetailDialect):
    """Requests with Epistula 2 headers; replies are ours.

    Args:
        rules: What all protocols of the axon share.
    """

    name = epistula.PROTOCOL
    changing = frozenset({
        "epistula-timestamp", "epistula-uuid", "epistula-request-signature",
        "epistula-secret-signature-0", "epistula-secret-signature-1",
        "epistula-secret-signature-2",
    })  # fmt: skip

    def speaks(self, headers: Mapping[str, str]) -> bool:
        """Whether an Epistula version is there."""
        return "Epistula-Version" in headers

    def claim(self, headers: Mapping[str, str]) -> epistula.Claim:
        """Read the signing headers: shape, receiver, freshness.

        Raises:
            AuthError: As the functions of `epistula` do.
        """
        window = self._rules.window
        claim = epistula.parse_claim(headers)
        epistula.check_receiver(
            claim, self._rules.receiver, require_receiver=window.require_receiver
        )
        epistula.check_fresh(
            claim,
            self._rules.clock_ns(),
            max_age_s=min(window.max_age_s, epistula.MAX_AGE_S),
            allowed_skew_s=window.allowed_skew_s,
        )
        return claim

    def prove(self, claim: epistula.Claim, *, method: str, target: str, body: bytes) -> Caller:
        """Check the signature over the body, then that the uuid is new.

        Raises:
            AuthError: As `epistula.prove` does.
            Overloaded: The replay memory is full.
        """
        return epistula.prove(
            claim,
            digest=hashlib.sha256(body).digest(),
            now_ns=self._rules.clock_ns(),
            guard=self._rules.guard,
        )

    def nonce_tag(self, claim: epistula.Claim) -> bytes:
        """Return the uuid: times of this protocol have only milliseconds."""
        return claim.uuid.encode()


@dataclass(slots=True)
class _Envelope:
    """A request whose sender is named in its body, so that no key is claimed before.

    Attributes:
        headers: Of the request.
        letter: What the body holds, once it was verified.
    """

    headers: Mapping[str, str]
    letter: epistula_v1.Letter | None = None
    public_key: None = None


class EpistulaV1Dialect(_DetailDialect):
    """Bodies signed as a whole, with the sender inside; for receiving only.

    Args:
        rules: What all protocols of the axon share.
    """

    name = "epistula1"
    changing = frozenset({"body-signature"})

    def speaks(self, headers: Mapping[str, str]) -> bool:
        """Whether a body signature is there and no version."""
        return "Body-Signature" in headers and "Epistula-Version" not in headers

    def claim(self, headers: Mapping[str, str]) -> _Envelope:
        """Check that there is a signature; the rest is in the body.

        Raises:
            AuthError: The signature is malformed.
        """
        epistula_v1.parse_signature_header(headers)
        return _Envelope(headers)

    def prove(self, claim: _Envelope, *, method: str, target: str, body: bytes) -> Caller:
        """Verify the body and keep what is in it.

        Raises:
            AuthError: As `epistula_v1.verify` does.
            MalformedRequest: The body is not of this protocol.
            Overloaded: The replay memory is full.
        """
        window = self._rules.window
        claim.letter = epistula_v1.verify(
            claim.headers,
            body,
            receiver=self._rules.receiver,
            now_ns=self._rules.clock_ns(),
            guard=self._rules.guard,
            max_age_s=min(window.max_age_s, epistula_v1.MAX_AGE_S),
            allowed_skew_s=window.allowed_skew_s,
            require_receiver=window.require_receiver,
        )
        return claim.letter.caller

    def parse(self, synapse_type: type[Synapse], claim: _Envelope, body: bytes) -> Synapse:
        """Return the synapse in the letter.

        Raises:
            InvalidBody: It does not fit.
        """
        assert claim.letter is not None
        return synapse_type.parse_body(json.dumps(claim.letter.data).encode())
