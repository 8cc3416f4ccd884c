"""`TypedStream`: a streaming synapse whose chunks are pydantic models.

A forward yields models, the caller iterates over models; header and footer, where declared, are
found on the synapse. On the wire each is a frame of a typed stream (`node.streams.schema`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar, Generic

from pydantic import BaseModel, Field
from typing_extensions import TypeVar

from .errors import RouteError, StreamMisuse
from .streams.reader import stream_reader
from .streams.response import ReplyStream
from .streams.schema import StreamTypes
from .streams.writer import stream_writer
from .synapse import ChunkEncoder, StreamingSynapse, Synapse

__all__ = ["TypedStream"]

ItemT = TypeVar("ItemT", bound=BaseModel)
HeaderT = TypeVar("HeaderT", bound=BaseModel | None, default=None)
FooterT = TypeVar("FooterT", bound=BaseModel | None, default=None)


class TypedStream(StreamingSynapse, Generic[ItemT, HeaderT, FooterT]):
    """A streaming synapse of validated items, with an optional header and footer.

    Subclass `TypedStream[Item]` or `TypedStream[Item, Header, Footer]` (None for one that there
    is not). A forward yields the header first, if declared, then items, then the footer; which is
    which is told by their classes, so these differ. It may also return the synapse with `items`,
    `header` and `footer` filled, which are then streamed. What is missing or out of order fails
    the stream.

    Attributes:
        items: The items, once they have arrived.
        header: The header, from the moment it has arrived.
        footer: The footer, once it has arrived.
    """

    stream_types: ClassVar[StreamTypes[Any, Any, Any] | None] = None
    typed_chunks: ClassVar[bool] = True
    local_fields: ClassVar[frozenset[str]] = Synapse.local_fields | {"items", "header", "footer"}

    items: list[ItemT] = Field(default_factory=list, repr=False)
    header: HeaderT | None = None
    footer: FooterT | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Read the models from the type arguments.

        Raises:
            RouteError: One is no pydantic model, or two are the same.
        """
        super().__pydantic_init_subclass__(**kwargs)
        arguments = cls.__pydantic_generic_metadata__["args"]
        if arguments:
            cls.stream_types = _types_of(cls.__name__, arguments)

    async def process_streaming_response(self, response: ReplyStream) -> AsyncIterator[ItemT]:
        """Yield the items as they arrive.

        Raises:
            BadStream: The stream is not one of these types.
        """
        types = self._types()
        reader: Any = stream_reader(types, response.content.iter_any())
        items: list[ItemT] = []
        try:
            if types.header_type is not None:
                self.__dict__["header"] = await reader.read_header()
            async for item in reader.read_items():
                items.append(item)
                yield item
            if types.footer_type is not None:
                self.__dict__["footer"] = await reader.read_footer()
        finally:
            # Also for a stream that failed: what arrived is kept.
            self.__dict__["items"] = items

    def extract_response_json(self, response: ReplyStream) -> dict[str, Any]:
        """Return nothing more: the items are in place."""
        return {}

    def models(self) -> Iterator[BaseModel]:
        """Yield what it holds in the order of a stream: header, items, footer."""
        if isinstance(self.header, BaseModel):
            yield self.header
        yield from self.items
        if isinstance(self.footer, BaseModel):
            yield self.footer

    def chunk_encoder(self) -> ChunkEncoder:
        """Return what writes this stream's models as frames."""
        return _TypedEncoder(self._types())

    @classmethod
    def _types(cls) -> StreamTypes[Any, Any, Any]:
        if cls.stream_types is None:
            raise StreamMisuse(f"{cls.__name__} names no item type; subclass TypedStream[Item]")
        return cls.stream_types


class _TypedEncoder(ChunkEncoder):
    def __init__(self, types: StreamTypes[Any, Any, Any]) -> None:
        self._writer: Any = stream_writer(types)
        self._verbs: dict[type[Any], Callable[[Any], bytes]] = {
            types.item_type: self._writer.yield_item
        }
        if types.header_type is not None:
            self._verbs[types.header_type] = self._writer.yield_header
        if types.footer_type is not None:
            self._verbs[types.footer_type] = self._writer.yield_footer

    def encode(self, chunk: Any) -> bytes:
        # One of the models may extend another: the nearest class tells which of them this is.
        nearest = (self._verbs[cls] for cls in type(chunk).__mro__ if cls in self._verbs)
        return next(nearest, self._writer.yield_item)(chunk)

    def finish(self) -> None:
        self._writer.finish()


def _types_of(name: str, arguments: tuple[Any, ...]) -> StreamTypes[Any, Any, Any] | None:
    item, header, footer = (*arguments, None, None)[:3]
    models: list[Any] = [None if given is type(None) else given for given in (item, header, footer)]
    if any(isinstance(model, TypeVar) for model in models):
        return None
    given = [model for model in models if model is not None]
    if len(set(given)) != len(given) or models[0] is None:
        raise RouteError(f"{name}: item, header and footer of a typed stream are different models")
    for model in given:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise RouteError(f"{name}: {model!r} is no pydantic model")
    return StreamTypes(*models)
