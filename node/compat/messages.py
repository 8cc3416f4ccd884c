"""Synapses with what SDK 6-10 code asks of them beside asking and answering: headers and hashes.

`bt.synapse` and `bt.stream` are this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel

from node import synapse as native
from node.synapse import Send, StreamingReply, TerminalInfo, TokenStreamer
from node.wire.synapse_headers import body_hash, input_headers, parse_input_headers

__all__ = [
    "BTStreamingResponseModel",
    "Send",
    "StreamingSynapse",
    "Synapse",
    "TerminalInfo",
]

_ENDS = ("axon", "dendrite")


class Synapse(native.Synapse):
    """A question and, once answered, its answer. See `node.Synapse` for what it is in itself."""

    @property
    def is_failure(self) -> bool:
        """Whether the status is any other than 200; also while there is none."""
        return not self.is_success

    @property
    def body_hash(self) -> str:
        """The hash of the fields that `required_hash_fields` names, 64 hex digits (WIRE.md §2.3).

        Raises:
            KeyError: It names what is no field.
            MalformedRequest: A value has no text that can be hashed.
        """
        fields = self.model_dump()
        return body_hash([fields[name] for name in type(self).hashed_fields()])

    @classmethod
    def get_required_fields(cls) -> list[str]:
        """Return the names of the fields that have no default."""
        return [name for name, field in cls.model_fields.items() if field.is_required()]

    @classmethod
    def set_name_type(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Put the name of the class into field values, and return them."""
        values["name"] = cls.__name__
        return values

    def get_total_size(self) -> int:
        """Return the bytes of the body, which are kept in `total_size` too."""
        self.total_size = len(self.encode_body())
        return self.total_size

    def to_headers(self) -> dict[str, str]:
        """Return the headers of SDK 6-10 for this synapse as it stands (WIRE.md §2.1).

        Nothing is signed here. Each field without a default gets the empty value of its type.

        Raises:
            MalformedRequest: As `body_hash`.
        """
        headers = {"name": self.name, "timeout": str(self.timeout)}
        for end in _ENDS:
            told = getattr(self, end).model_dump(exclude_none=True)
            headers |= {f"bt_header_{end}_{member}": str(value) for member, value in told.items()}
        fields = self.model_dump()
        headers |= input_headers({name: fields[name] for name in self.get_required_fields()})
        headers["header_size"] = str(sum(len(name) + len(headers[name]) for name in headers))
        headers["total_size"] = str(self.get_total_size())
        headers["computed_body_hash"] = self.body_hash
        return headers

    @classmethod
    def parse_headers_to_inputs(cls, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the field values that headers tell; nothing of it is proved.

        Raises:
            MalformedRequest: A header of a field can't be read.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        inputs: dict[str, Any] = parse_input_headers(headers)
        for end in _ENDS:
            start = f"bt_header_{end}_"
            inputs[end] = {
                name.removeprefix(start): value
                for name, value in lowered.items()
                if name.startswith(start)
            }
        for name in ("timeout", "name", "header_size", "total_size", "computed_body_hash"):
            if name in lowered:
                inputs[name] = lowered[name]
        return inputs

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self:
        """Return the synapse that headers tell of, its required fields with placeholders.

        Raises:
            MalformedRequest: As `parse_headers_to_inputs`.
            pydantic.ValidationError: A field is missing or does not fit.
        """
        return cls(**cls.set_name_type(cls.parse_headers_to_inputs(headers)))


class BTStreamingResponseModel(BaseModel):
    """Holds a token streamer.

    Attributes:
        token_streamer: Called once with an ASGI-style `send`.
    """

    token_streamer: TokenStreamer


class StreamingSynapse(Synapse, native.StreamingSynapse):
    """A synapse whose answer comes in chunks; a subclass has the two hooks of the base."""

    class BTStreamingResponse(native.StreamingSynapse.BTStreamingResponse):
        """What a forward returns to stream through a token streamer.

        Args:
            model: The token streamer, or a `BTStreamingResponseModel` that holds it.
            synapse: The request that it answers.
        """

        def __init__(
            self,
            model: BTStreamingResponseModel | TokenStreamer,
            synapse: native.Synapse | None = None,
            **_: Any,
        ) -> None:
            streamer = (
                model.token_streamer if isinstance(model, BTStreamingResponseModel) else model
            )
            super().__init__(streamer, synapse if synapse is not None else Synapse())

    def create_streaming_response(self, token_streamer: TokenStreamer) -> StreamingReply:
        """Return what a forward returns to stream through `token_streamer(send)`."""
        return self.BTStreamingResponse(token_streamer, self)
