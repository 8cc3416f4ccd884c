"""The synapse-header protocol, for axons of SDK 6 to 10 (WIRE.md §2)."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from node.dendrite.deadlines import Deadlines
from node.dendrite.dialect import Dialect
from node.dendrite.question import Question
from node.errors import PeerRefused
from node.keys import Keypair
from node.network import Peer
from node.streams import StreamMode
from node.synapse import Synapse
from node.wire import SignedRequest, synapse_headers

__all__ = ["SynapseDialect"]

_TIMEOUT_S = 12.0


class SynapseDialect(Dialect):
    """Requests as SDK 6 to 10 sign them; streams travel raw, without an END or a receipt.

    Args:
        hotkey: The caller's address, which old forwards read from the body.
    """

    name = synapse_headers.PROTOCOL

    def __init__(self, *, hotkey: str, **_: object) -> None:
        self._hotkey = hotkey
        self._uuid = str(uuid.uuid4())

    def ask(
        self,
        synapse: Synapse,
        deadlines: Deadlines,
        *,
        mode: StreamMode | None = None,
        receipt: bool = True,
    ) -> Question:
        """Return the question; placeholders of the required fields go into headers."""
        body = self._body(synapse, deadlines)
        dumped = synapse.model_dump()
        required = {
            name: dumped[name]
            for name in synapse.own_fields()
            if type(synapse).model_fields[name].is_required()
        }
        return Question(
            target=synapse.route_path(),
            body=body,
            digest=hashlib.sha256(body).digest(),
            deadlines=deadlines,
            mode=None if mode is None else StreamMode.RAW,
            body_hash=synapse_headers.body_hash([dumped[name] for name in synapse.hashed_fields()]),
            headers=synapse_headers.input_headers(required),
        )

    def _body(self, synapse: Synapse, deadlines: Deadlines) -> bytes:
        """Return the own fields and, for forwards that look there, who is asking."""
        document: dict[str, Any] = json.loads(synapse.encode_body())
        document["name"] = synapse.name
        document["timeout"] = deadlines.total or _TIMEOUT_S
        document["dendrite"] = {"hotkey": self._hotkey, "uuid": self._uuid}
        return json.dumps(document).encode()

    def sign(
        self, keypair: Keypair, question: Question, peer: Peer, nonce_ns: int
    ) -> SignedRequest:
        """Return the signing headers.

        Raises:
            WalletError: The key has no secret, or is not sr25519, which old axons verify only.
        """
        headers = synapse_headers.sign(
            keypair,
            method="POST",
            target=question.target,
            body=question.body,
            receiver=peer.hotkey,
            nonce_ns=nonce_ns,
            name=question.target.removeprefix("/"),
            timeout=question.deadlines.total or _TIMEOUT_S,
            uuid=self._uuid,
            body_hash=question.body_hash,
            axon_ip=peer.ip,
            axon_port=peer.port,
        )
        payload = synapse_headers.signed_payload(
            nonce_ns=nonce_ns,
            sender=keypair.ss58_address,
            receiver=peer.hotkey,
            uuid=self._uuid,
            body_hash=question.body_hash,
        )
        return SignedRequest(headers, payload)

    def check_reply(self, headers: Mapping[str, str], peer: Peer) -> None:
        """Check the status that an old axon puts into its headers.

        Raises:
            PeerRefused: It is not 200.
        """
        said = synapse_headers.parse_reply_headers(headers, http_status=200)
        status = said.get("status_code", 200)
        if status != 200:
            message = said.get("status_message", f"status {status} in its headers")
            raise PeerRefused(message, status=status, peer=str(peer))
