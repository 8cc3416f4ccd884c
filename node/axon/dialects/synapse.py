"""The synapse-header protocol of SDK 6 to 10, as their dendrites meet this axon (WIRE.md §2).

Their signature covers the fields that a class names in `required_hash_fields` and nothing else of
the body, so whatever else is in it stays unproved; `require_body_hash` refuses those who hash
nothing. Replies carry what old dendrites look for, and no receipt, which they would not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from node.axon.admission import Rules
from node.axon.dialect import Dialect
from node.axon.reply import Reply, body_reply, error_reply
from node.axon.target import MAX_TIMEOUT_S, Target
from node.errors import WireError
from node.streams import StreamMode
from node.synapse import Synapse
from node.wire import Caller, Receipt, synapse_headers

__all__ = ["SynapseDialect"]

_TIMEOUT_S = 12.0
_BODY_HASH = re.compile("[0-9a-f]{64}")
# They mean nothing, but hooks of subnets read them as numbers from every reply.
_SIZES = {"total_size": "0", "header_size": "0"}


class SynapseDialect(Dialect):
    """Requests and replies as SDK 6 to 10 make and expect them.

    Args:
        rules: What all protocols of the axon share.
    """

    name = synapse_headers.PROTOCOL
    receipts = False
    changing = frozenset(
        {"bt_header_dendrite_nonce", "bt_header_dendrite_signature", "computed_body_hash"}
    )

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._uptime_guard = (
            synapse_headers.UptimeGuard() if rules.old.allow_uptime_nonces else None
        )

    def speaks(self, headers: Mapping[str, str]) -> bool:
        """Whether a dendrite's signature, nonce or hotkey is there."""
        return any(
            f"bt_header_dendrite_{name}" in headers for name in ("signature", "nonce", "hotkey")
        )

    def claim(self, headers: Mapping[str, str]) -> synapse_headers.Claim:
        """Read the signing headers: shape and freshness.

        Raises:
            AuthError: As the functions of `synapse_headers` do.
        """
        # The receiver in the headers is not signed, so it is not looked at: `prove` puts this
        # node's own address into what it verifies.
        claim = synapse_headers.parse_claim(headers)
        synapse_headers.check_fresh(
            claim,
            self._rules.clock_ns(),
            max_age_s=self._rules.old.max_age_s,
            allowed_skew_s=self._rules.window.allowed_skew_s,
            allow_uptime_nonces=self._uptime_guard is not None,
        )
        if self._rules.old.require_body_hash:
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
            uptime_guard=self._uptime_guard,
        )

    def session_of(self, claim: synapse_headers.Claim) -> str:
        """Return the dendrite's uuid, which it wants to read in the reply."""
        return claim.uuid

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
            BodyMismatch: A hashed field is not the one that was signed, or other fields were
                hashed than this route hashes.
        """
        synapse = synapse_type.parse_body(body)
        names = synapse_type.hashed_fields()
        values = synapse.model_dump(include=set(names)) if names else {}
        # Also where nothing is hashed: the route is not signed, so a request that was hashed for
        # another route could else be sent to this one with any body.
        synapse_headers.check_body_hash(claim.body_hash, [values[name] for name in names])
        synapse.computed_body_hash = claim.body_hash
        return synapse

    def success(self, synapse: Synapse, body: bytes, receipt: Receipt | None) -> Reply:
        """Return the whole model, which old dendrites build their reply from."""
        synapse.axon.status_code = 200
        synapse.axon.status_message = "Success"
        reply = body_reply(200, synapse.model_dump_json(by_alias=True).encode())
        reply.headers.update(self.stream_headers(synapse))
        return reply

    def failure(self, error: WireError, headers: Mapping[str, str]) -> Reply:
        """Return an error reply with the headers that SDK 6 reads the status from."""
        reply = error_reply(error)
        said = synapse_headers.reply_headers(
            name="Synapse",
            status=error.status,
            message=error.public,
            timeout=_read_timeout(headers.get("timeout", "")),
            body_hash=_read_hash(headers.get("computed_body_hash", "")),
            axon_hotkey=self._rules.receiver,
        )
        reply.headers.update(_SIZES | said)
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
            "dendrite_uuid": dendrite.uuid or "",
            "body_hash": synapse.computed_body_hash,
        }
        return _SIZES | synapse_headers.reply_headers(
            name=synapse.name, status=200, timeout=synapse.timeout, **ends
        )


def _read_timeout(text: str) -> float:
    """Return what to say of the timeout in an error reply: the sender's own, if it is one."""
    try:
        timeout_s = float(text)
    except ValueError:
        return _TIMEOUT_S
    return timeout_s if 0 < timeout_s <= MAX_TIMEOUT_S else _TIMEOUT_S


def _read_hash(text: str) -> str:
    """Return the sender's own body hash, if it is one; nothing else of a request is echoed."""
    return text if _BODY_HASH.fullmatch(text) else synapse_headers.EMPTY_BODY_HASH
