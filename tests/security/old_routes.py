"""A node with routes as old protocols have them: hashed in part, hashed alike, not hashed."""

from __future__ import annotations

from typing import Any, ClassVar

from node import Keypair, Synapse
from node.wire import ReplayGuard
from tests.raw_http import RawRequest

from .conftest import Target
from .old_requests import NOTHING_HASHED, body_hash, sign_synapse

__all__ = ["BODY", "HASH", "Hashed", "OldTarget", "OtherHashed", "Plain"]

BODY = b'{"text": "hello", "note": "mine"}'
HASH = body_hash("hello")


class Hashed(Synapse):
    """One field is covered by the signature and one is not."""

    text: str
    note: str = ""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("text",)


class OtherHashed(Synapse):
    """Another route whose hash is that of the first."""

    text: str

    required_hash_fields: ClassVar[tuple[str, ...]] = ("text",)


class Plain(Synapse):
    """Nothing is covered."""

    text: str
    note: str = ""


class OldTarget(Target):
    """A node with routes as old protocols have them.

    Attributes:
        notes: What reached their forwards, with the route.
    """

    def __init__(self, bob: Keypair, alice: Keypair, **options: Any) -> None:
        guard = options.pop("guard", None) or ReplayGuard(window_s=31)
        super().__init__(bob, alice, guard=guard, protocols=("btauth", "synapse"), **options)
        self.notes: list[tuple[str, str, str]] = []
        for synapse_type in (Hashed, OtherHashed, Plain):
            self.axon.attach(self._forward_of(synapse_type))

    def _forward_of(self, synapse_type: type[Synapse]) -> Any:
        async def forward(synapse: Synapse) -> Synapse:
            fields = synapse.model_dump()
            self.texts.append(fields["text"])
            self.notes.append((synapse.name, fields["text"], fields.get("note", "")))
            return synapse

        forward.__annotations__ = {"synapse": synapse_type, "return": synapse_type}
        return forward

    def sign(self, target: str = "/Hashed", body: bytes = BODY, **parts: Any) -> RawRequest:
        hashed = NOTHING_HASHED if target in ("/Plain", "/Synapse", "/Echo") else HASH
        return sign_synapse(self.sender, self.hotkey, target, body, **{"hashed": hashed, **parts})
