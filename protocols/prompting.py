"""The prompting protocol of text subnets: chat messages in, a completion out.

Roles and messages are parallel lists, as text subnets have always sent them.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from node import Synapse, TextStream

__all__ = ["Prompting", "StreamPrompting"]


class Prompting(Synapse):
    """A prompt whose completion comes as one reply.

    Attributes:
        roles: Who said each message, such as `user` or `system`.
        messages: What was said, parallel to `roles`.
        completion: The answer.
    """

    required_hash_fields: ClassVar[tuple[str, ...]] = ("messages",)

    roles: list[str] = Field(default_factory=lambda: ["user"])
    messages: list[str]
    completion: str = ""


class StreamPrompting(TextStream):
    """A prompt whose completion is streamed as text.

    Attributes:
        roles: Who said each message, such as `user` or `system`.
        messages: What was said, parallel to `roles`.
        completion: The chunks joined, once they have arrived.
    """

    required_hash_fields: ClassVar[tuple[str, ...]] = ("messages",)

    roles: list[str] = Field(default_factory=lambda: ["user"])
    messages: list[str]
