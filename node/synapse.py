"""Messages: what a caller asks and a node answers, as pydantic models.

A subclass of `Synapse` is a route: its class name is the path, its own fields are the body. The
fields of the base class are about the exchange, not of it; they never travel in a native body,
and what a peer claims in them is ignored (docs/protocol.md §4).

Which fields a reply may fill: every own field that the caller left at its default. A required
field, a frozen one, and one that the caller set to something else are the question, and no answer
rewrites the question.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import deepcopy
from typing import Any, ClassVar, NamedTuple, Self
from urllib.parse import quote

import pydantic
import pydantic_core
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from .errors import BadReply, InvalidBody, StreamMisuse
from .streams.pieces import TextPieces
from .streams.response import ReplyStream
from .wire.receipt import Receipt

__all__ = [
    "ChunkEncoder",
    "Send",
    "StreamingReply",
    "StreamingSynapse",
    "Synapse",
    "TerminalInfo",
    "TextStream",
    "TokenStreamer",
    "model_faults",
]

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
TokenStreamer = Callable[[Send], Awaitable[None]]

_RECEIPT = "_receipt"
# Reading `__new__` from a model's class, or anything from a model, costs ten times what it costs
# elsewhere: pydantic's `__getattr__` is in the way. What a model is made of is set by its slots
# for the same reason; by name that takes twice as long.
_bare = object.__new__
_set_values, _set_names, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in (
        "__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__",
    )
)  # fmt: skip
_IMMUTABLE = frozenset({str, int, float, bool, bytes, type(None)})


class TerminalInfo(BaseModel):
    """One end of an exchange, as the other end's synapse sees it.

    Attributes:
        status_code: HTTP status, 200 for success; None before there was an answer.
        status_message: A sentence that goes with it.
        process_time: Seconds from request to reply, by the clock of whoever filled this in.
        ip: Address.
        port: Port.
        version: Version number of the software there.
        nonce: Nonce of the request, Unix nanoseconds.
        uuid: Used by older protocols only.
        hotkey: SS58 address; on an axon, the verified one.
        signature: Used by older protocols only.
    """

    model_config = ConfigDict(validate_assignment=True)

    status_code: int | None = None
    status_message: str | None = None
    process_time: float | None = None
    ip: str | None = None
    port: int | None = None
    version: int | None = None
    nonce: int | None = None
    uuid: str | None = None
    hotkey: str | None = None
    signature: str | None = None

    @classmethod
    def known(cls, **values: Any) -> Self:
        """Return one with these fields, which this node knows itself and which are not checked.

        The constructor takes twice as long, and each synapse has two of these.
        """
        end = _bare(cls)
        _set_values(end, {**_NOTHING_KNOWN, **values})
        _set_names(end, set(values))
        _set_extra(end, None)
        _set_private(end, None)
        return end

    def put(self, **values: Any) -> None:
        """Set fields to what this node knows itself, unchecked; assigning checks each (0.7 us)."""
        self.__dict__.update(values)
        self.__pydantic_fields_set__.update(values)


_NOTHING_KNOWN = dict(TerminalInfo())


class _Shape(NamedTuple):
    """What follows from a synapse's class alone; worked out anew it took 6 us of each call.

    Attributes:
        fields: The class's fields that it was worked out from.
        path: The request path.
        own: Names of the fields that travel.
        asked: Those of them that no reply may fill, whatever their value is.
        hidden: Names of the fields that don't travel.
    """

    fields: dict[str, FieldInfo]
    path: str
    own: tuple[str, ...]
    asked: frozenset[str]
    hidden: set[str]


class Synapse(BaseModel):
    """A question and, once answered, its answer.

    Subclass it with the fields of your protocol; those without a default are the question.

    Attributes:
        name: The route, always the class name.
        timeout: Seconds that the caller waits in all.
        total_size: Kept for older code; not used.
        header_size: Kept for older code; not used.
        dendrite: The calling end. After a call its `status_code` and `status_message` say how
            the exchange went; in a forward its `hotkey` is the verified caller.
        axon: The answering end.
        computed_body_hash: Used by older protocols only.
        required_hash_fields: Names of fields that older protocols hash.
        local_fields: Names of fields that are not part of a body: those of this class.
    """

    model_config = ConfigDict(
        validate_assignment=True, ser_json_inf_nan="strings", ser_json_bytes="base64",
        val_json_bytes="base64",
    )  # fmt: skip

    required_hash_fields: ClassVar[tuple[str, ...]] = ()
    local_fields: ClassVar[frozenset[str]]
    _kept_shape: ClassVar[_Shape | None] = None

    name: str = ""
    timeout: float = 12.0
    total_size: int = 0
    header_size: int = 0
    dendrite: TerminalInfo = Field(default_factory=TerminalInfo.known, repr=False)
    axon: TerminalInfo = Field(default_factory=TerminalInfo.known, repr=False)
    computed_body_hash: str = Field(default="", repr=False)

    def model_post_init(self, context: Any, /) -> None:
        """Set the route name; a subclass that overrides this calls it."""
        self.__dict__["name"] = type(self).__name__

    def deserialize(self) -> Any:
        """Return what a caller with `deserialize=True` gets; the synapse itself by default."""
        return self

    @property
    def is_success(self) -> bool:
        """Whether the exchange ended with status 200."""
        return self.dendrite.status_code == 200

    @property
    def is_failure(self) -> bool:
        """Whether the exchange ended with any other status."""
        return self.dendrite.status_code is not None and not self.is_success

    @property
    def is_timeout(self) -> bool:
        """Whether a deadline passed (408)."""
        return self.dendrite.status_code == 408

    @property
    def is_blacklist(self) -> bool:
        """Whether the node refused this caller (403)."""
        return self.dendrite.status_code == 403

    @property
    def failed_verification(self) -> bool:
        """Whether the node could not verify the request (401)."""
        return self.dendrite.status_code == 401

    def copy_for_call(self, **values: Any) -> Self:
        """Return a copy that shares nothing that can change with this synapse.

        Args:
            **values: Fields that the copy has other values for, which are taken as they are.
        """
        copied = {**self.__dict__, **values}
        for field, value in self.__dict__.items():
            if type(value) not in _IMMUTABLE and field not in values:
                copied[field] = deepcopy(value)
        copy = _bare(type(self))  # as `model_copy`, which took 6 us of a call
        _set_values(copy, copied)
        _set_names(copy, self.__pydantic_fields_set__.union(values))
        extra, private = self.__pydantic_extra__, self.__pydantic_private__
        _set_extra(copy, None if extra is None else dict(extra))
        _set_private(copy, None if private is None else dict(private))
        return copy

    @property
    def receipt(self) -> Receipt | None:
        """The peer's signed receipt for this reply, already checked; None without one."""
        receipt: Receipt | None = (self.__pydantic_private__ or {}).get(_RECEIPT)
        return receipt

    def attach_receipt(self, receipt: Receipt | None) -> None:
        """Keep the receipt of the reply that this synapse was filled from."""
        # Where pydantic keeps private attributes, so that copies have it; to declare one takes
        # 5 us whenever a synapse is made.
        if self.__pydantic_private__ is not None:
            self.__pydantic_private__[_RECEIPT] = receipt
        elif receipt is not None:
            _set_private(self, {_RECEIPT: receipt})

    @classmethod
    def route_path(cls) -> str:
        """Return the request path, such as `/Prompting`."""
        return cls._shape().path

    @classmethod
    def own_fields(cls) -> tuple[str, ...]:
        """Return the names of the fields that travel: all but the local ones."""
        return cls._shape().own

    @classmethod
    def _shape(cls) -> _Shape:
        kept = cls.__dict__.get("_kept_shape")  # a base class has another
        if kept is None or kept.fields is not cls.__pydantic_fields__:
            kept = cls._kept_shape = cls._make_shape()
        return kept

    @classmethod
    def _make_shape(cls) -> _Shape:
        fields = cls.__pydantic_fields__
        own = {name: info for name, info in fields.items() if name not in cls.local_fields}
        return _Shape(
            fields=fields,
            path="/" + quote(cls.__name__),
            own=tuple(own),
            asked=frozenset(n for n, info in own.items() if info.is_required() or info.frozen),
            hidden=set(cls.local_fields),
        )

    @classmethod
    def hashed_fields(cls) -> tuple[str, ...]:
        """Return the names of the fields that older protocols hash, in the order they do.

        A class that declares `required_hash_fields` as a field hashes in the order of its
        fields; otherwise the order is the tuple's own (WIRE.md §2.3).
        """
        declared = cls.model_fields.get("required_hash_fields")
        if declared is None:
            return tuple(cls.required_hash_fields)
        # The default, not what a body says: a sender must not choose what is covered.
        named = set(declared.get_default(call_default_factory=True, validated_data={}) or ())
        return tuple(name for name in cls.model_fields if name in named)

    def encode_body(self) -> bytes:
        """Return the JSON body of the own fields, by alias where the model has aliases.

        Raises:
            pydantic_core.PydanticSerializationError: A value can't be written as JSON.
        """
        # As `model_dump_json`, without the text between (9 us with cold caches).
        hidden = self._shape().hidden
        return self.__pydantic_serializer__.to_json(self, exclude=hidden, by_alias=True)

    @classmethod
    def parse_body(cls, body: bytes) -> Self:
        """Return the synapse that a request body holds; unknown fields are ignored.

        Raises:
            InvalidBody: The body is not JSON or does not fit; names fields and reasons, never
                the values.
        """
        try:
            return cls._from_json(body)
        except pydantic.ValidationError as error:
            raise InvalidBody(_first_fault(error), fields=model_faults(error)) from None

    @classmethod
    def _from_json(cls, body: bytes) -> Self:
        """Return the synapse that a body from the wire holds.

        Raises:
            pydantic.ValidationError: It is not JSON or does not fit.
        """
        # As `model_validate_json`, without what that asks the class (3 us).
        parsed: Self = cls.__pydantic_validator__.validate_json(cls._without_claims(body))
        return parsed

    @classmethod
    def _without_claims(cls, body: bytes) -> bytes:
        """Return a body from the wire without what it says in the local fields.

        The bytes are read twice (0.3 us) so that the model is made from JSON: a validator of the
        model would get Python objects, where a strict one takes no list for a tuple.
        """
        try:
            document = pydantic_core.from_json(body)
        except ValueError:
            return body  # whoever validates it says what is wrong
        if not isinstance(document, dict) or cls.local_fields.isdisjoint(document):
            return body
        own = {key: value for key, value in document.items() if key not in cls.local_fields}
        return pydantic_core.to_json(own, inf_nan_mode="constants")

    def question_fields(self) -> frozenset[str]:
        """Return the own fields that no reply may fill, as they stand now."""
        shape = self._shape()
        changed = self.__pydantic_fields_set__ - shape.asked - shape.hidden
        return shape.asked.union([field for field in changed if self._is_changed(field)])

    def _is_changed(self, field: str) -> bool:
        info = type(self).model_fields.get(field)
        if info is None:  # an extra field, where the model takes such
            return False
        value: object = getattr(self, field)
        return bool(value != info.get_default(call_default_factory=True, validated_data={}))

    def fill(self, answer: Mapping[str, Any], question: frozenset[str]) -> None:
        """Take the own fields of an answer that are not the question.

        Args:
            answer: Field names and values; other names are ignored.
            question: What `question_fields` gave before the request was sent.

        Raises:
            BadReply: A value does not fit its field; nothing was taken.
        """
        fresh = {
            field: answer[field]
            for field in self.own_fields()
            if field in answer and field not in question
        }
        before = dict(self.__dict__)
        try:
            for field, value in fresh.items():
                self.__pydantic_validator__.validate_assignment(self, field, value)
        except pydantic.ValidationError as error:
            self.__dict__.update(before)
            raise BadReply(f"the peer's reply does not fit: {_first_fault(error)}") from None

    def parse_answer(self, body: bytes, question: frozenset[str]) -> None:
        """Fill this synapse from the JSON body of a unary reply.

        Args:
            body: The reply.
            question: What `question_fields` gave before the request was sent.

        Raises:
            BadReply: The body is not a JSON object, or a value does not fit; nothing was taken.
        """
        try:
            parsed = self._from_json(body)
        except pydantic.ValidationError:
            # The reply may lack, or spoil, fields that it has no say in.
            parsed = self._parse_beside_question(body, question)
        for field in parsed.__pydantic_fields_set__ - question - self.local_fields:
            self.__dict__[field] = getattr(parsed, field)
            self.__pydantic_fields_set__.add(field)

    def _parse_beside_question(self, body: bytes, question: frozenset[str]) -> Self:
        try:
            answer = pydantic_core.from_json(body)
        except ValueError as error:
            raise BadReply("the peer's reply is not JSON") from error
        if not isinstance(answer, dict):
            raise BadReply("the peer's reply is not a JSON object")
        own: dict[str, Any] = pydantic_core.from_json(self.encode_body())
        keys = {self._wire_name(field) for field in question}
        own.update((key, value) for key, value in answer.items() if key not in keys)
        try:
            return self._from_json(json.dumps(own).encode())
        except pydantic.ValidationError as error:
            raise BadReply(f"the peer's reply does not fit: {_first_fault(error)}") from None

    @classmethod
    def _wire_name(cls, field: str) -> str:
        return cls.model_fields[field].serialization_alias or field


Synapse.local_fields = frozenset(Synapse.model_fields)


def model_faults(error: pydantic.ValidationError) -> tuple[tuple[str, str], ...]:
    """Return pairs of field path and reason, without the values; at most 20."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        (".".join(str(part) for part in fault["loc"])[:200] or "body", fault["msg"][:200])
        for fault in faults[:20]
    )


def _first_fault(error: pydantic.ValidationError) -> str:
    field, reason = model_faults(error)[0]
    return f"{field}: {reason}"


class StreamingReply:
    """A reply that a token streamer will send, as a forward returns it.

    Args:
        token_streamer: Called once with an ASGI-style `send`; its messages have the keys `body`
            (bytes or str) and `more_body` (bool, default False, which ends the stream).
        synapse: The request that it answers.
    """

    def __init__(self, token_streamer: TokenStreamer, synapse: Synapse) -> None:
        self.token_streamer = token_streamer
        self.synapse = synapse


# Written where it is used, the union would be made again for each chunk.
_BYTES = bytes | bytearray | memoryview


class ChunkEncoder:
    """Turns what a forward yields into the bytes of chunks, for one stream."""

    def encode(self, chunk: Any) -> bytes:
        """Return the bytes of a chunk: text as UTF-8, a model as JSON.

        Raises:
            StreamMisuse: It is none of text, bytes and a pydantic model.
        """
        if isinstance(chunk, str):
            return chunk.encode()
        if isinstance(chunk, _BYTES):
            return bytes(chunk)
        if isinstance(chunk, BaseModel):
            return chunk.model_dump_json().encode()
        raise StreamMisuse(
            f"a forward yielded {type(chunk).__name__}; yield text, bytes or a pydantic model"
        )

    def finish(self) -> None:
        """Check that the stream may end here.

        Raises:
            StreamMisuse: Something that was declared is missing.
        """


class StreamingSynapse(Synapse, ABC):
    """A synapse whose answer comes in chunks.

    The caller's side runs the two hooks, once each and in this order. `TextStream` has both
    ready.

    Attributes:
        typed_chunks: Whether chunks are frames of a typed stream.
    """

    class BTStreamingResponse(StreamingReply):
        """The name that older code annotates its forwards with."""

    typed_chunks: ClassVar[bool] = False

    @abstractmethod
    def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[Any]:
        """Yield what the caller iterates over; read `response.content` and accumulate.

        Written as an async generator. It may raise; the stream then fails with that error.
        """

    @abstractmethod
    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        """Return the fields of the finished synapse; the content has been read by then."""

    def chunk_encoder(self) -> ChunkEncoder:
        """Return what turns the yields of one forward into chunks."""
        return ChunkEncoder()

    def create_streaming_response(self, token_streamer: TokenStreamer) -> StreamingReply:
        """Return what a forward returns to stream through `token_streamer(send)`."""
        return self.BTStreamingResponse(token_streamer, self)


class TextStream(StreamingSynapse):
    """A streaming synapse whose chunks are text, joined in `completion`.

    The text is right wherever its UTF-8 was cut on the way.
    """

    completion: str = ""

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[str]:
        """Yield the text of each chunk as soon as it is whole."""
        decoder = TextPieces()
        pieces: list[str] = []
        try:
            async for chunk in response.content.iter_any():
                if piece := decoder.feed(chunk):
                    pieces.append(piece)
                    yield piece
            decoder.finish()
        finally:
            # Also for a stream that failed: what arrived is kept.
            self.completion = "".join(pieces)

    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        """Return the joined text."""
        return {"completion": self.completion}
