"""The synapse-header protocol of SDK 6 to 10, as their dendrites meet this axon (WIRE.md §2).

Their signature covers the fields that a class names in `required_hash_fields` and nothing else of
the body, so whatever else is in it stays unproved; `require_body_hash` refuses those who hash
nothing. Replies carry what old dendrites look for, and no receipt, which they would not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from node.axon.admission import Rules
from node.axon.dialect import Dialect
from node.axon.reply import body_reply, error_reply
from node.axon.target import MAX_TIMEOUT_S, Target
from node.errors import WireError
from node.streams import StreamMode
from node.synapse import Synapse
from node.wire import Caller, Receipt, synapse_headers

__all__ = ["SynapseDialect"]


class SynapseDialect(Dialect):
    """Requests and replies as SDK 6 to 10 make and expect them.

    Args:
        rules: What all protocols of the axon share.
    """

    name = synapse_headers.PROTOCOL
    receipts = False

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def speaks(self, headers: Mapping[str, str]) -> bool:
        """Whether a dendrite's signature, nonce or hotkey is there."""
        return any(
            f"bt_header_dendrite_{name}" in headers for name in ("signature", "nonce", "hotkey")
        )

    def claim(self, headers: Mapping[str, str]) -> synapse_headers.Claim:
        """Read the signing headers: shape, receiver, freshness.

        Raises:
            AuthError: As the functions of `synapse_headers` do.
        """
        window = self._rules.window
        claim = synapse_headers.parse_claim(headers)
        synapse_headers.check_receiver(claim, self._rules.receiver)
        synapse_headers.check_fresh(
            claim,
            self._rules.clock_ns(),
            max_age_s=window.max_age_s,
            allowed_skew_s=window.allowed_skew_s,
        )
        if self._rules.require_body_hash:
            synapse_headers.check_covered(claim)
        return claim

    def prove(
        self, claim: synapse_headers.Claim, *, method: str, target: str, body: bytes
    ) -> Caller:
        """Check the signature, then that the nonce is new; the body is checked by `parse`.

        Raises:
            AuthError: As `synapse_headers.prove` does.
            Overloaded: The replay memory is full.
        """
        return synapse_headers.prove(
            claim,
            receiver=self._rules.receiver,
            now_ns=self._rules.clock_ns(),
            guard=self._rules.guard,
        )

    def read_target(self, claim: synapse_headers.Claim, target: str) -> Target:
        """Return the caller's deadline, which is advice, and the one mode that it reads."""
        timeout_s = claim.timeout_s
        known = timeout_s is not None and 0 < timeout_s <= MAX_TIMEOUT_S
        return Target(timeout_s if known else None, StreamMode.RAW, receipt=False)

    def parse(
        self, synapse_type: type[Synapse], claim: synapse_headers.Claim, body: bytes
    ) -> Synapse:
        """Return the synapse in a body whose hashed fields are those that were signed.

        Raises:
            InvalidBody: It does not fit.
            BodyMismatch: A hashed field is not the one that was signed.
        """
        synapse = synapse_type.parse_body(body)
        names = synapse_type.hashed_fields()
        if names:
            values = synapse.model_dump(include=set(names))
            synapse_headers.check_body_hash(claim.body_hash, [values[name] for name in names])
        return synapse

    def success(self, synapse: Synapse, body: bytes, receipt: Receipt | None) -> web.Response:
        """Return the whole model, which old dendrites build their reply from."""
        synapse.axon.status_code = 200
        synapse.axon.status_message = "Success"
        reply = body_reply(200, synapse.model_dump_json(by_alias=True).encode())
        reply.headers.update(self.stream_headers(synapse))
        return reply

    def failure(self, error: WireError) -> web.Response:
        """Return an error reply with the headers that SDK 6 reads the status from."""
        reply = error_reply(error)
        headers = synapse_headers.reply_headers(
            name="Synapse",
            status=error.status,
            message=error.public,
            axon_hotkey=self._rules.receiver,
        )
        reply.headers.update(headers)
        return reply

    def stream_headers(self, synapse: Synapse) -> dict[str, str]:
        """Return the headers from which an old dendrite reads success."""
        dendrite, axon = synapse.dendrite, synapse.axon
        ends: dict[str, Any] = {
            "axon_hotkey": axon.hotkey or "",
            "axon_ip": axon.ip or "",
            "axon_port": axon.port or 0,
            "dendrite_hotkey": dendrite.hotkey or "",
            "dendrite_nonce": dendrite.nonce,
        }
        return synapse_headers.reply_headers(
            name=synapse.name, status=200, timeout=synapse.timeout, **ends
        )
