"""Reading a typed stream from bytes that were cut anywhere.

Consumed once and in order: header, items, footer. At most one frame is held; a declared length
over the limit fails at its tag.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel, ValidationError

from node.errors import BadStream, CutStream

from .schema import TAG, ItemKind, StreamTypes

__all__ = [
    "MAX_ITEM_BYTES",
    "StreamReader",
    "StreamReaderFull",
    "StreamReaderWithFooter",
    "StreamReaderWithHeader",
    "decode_model",
    "stream_reader",
]

MAX_ITEM_BYTES = 16 * 2**20

ItemT = TypeVar("ItemT", bound=BaseModel)
HeaderT = TypeVar("HeaderT", bound=BaseModel)
FooterT = TypeVar("FooterT", bound=BaseModel)

_KINDS = {int(kind): kind for kind in ItemKind}


class _Frames:
    """Cuts the bytes into frames, one look ahead."""

    def __init__(self, source: AsyncIterable[bytes], max_item_bytes: int) -> None:
        self._source = aiter(source)
        self._max = max_item_bytes
        self._held = bytearray()
        self._next: tuple[ItemKind, bytes] | None = None

    async def peek(self) -> ItemKind:
        """Return the kind of the next frame, `END` when there is none."""
        if self._next is None:
            self._next = await self._read()
        return self._next[0]

    async def take(self) -> bytes:
        """Return the payload of the frame that was peeked at."""
        assert self._next is not None
        payload, self._next = self._next[1], None
        return payload

    def end(self) -> None:
        """Hold the stream to be over; what follows is not looked at."""
        self._next = (ItemKind.END, b"")

    async def _read(self) -> tuple[ItemKind, bytes]:
        if not await self._hold(1):
            return ItemKind.END, b""
        if not await self._hold(TAG.size):
            raise CutStream("the stream broke off inside a tag")
        number, length = TAG.unpack_from(self._held)
        kind = _KINDS.get(number)
        if kind is None:
            raise BadStream(f"the stream has a frame of the unknown kind {number}")
        if length > self._max:
            raise BadStream(f"the stream announces {length} bytes at once, over {self._max}")
        if not await self._hold(TAG.size + length):
            raise CutStream(f"the stream broke off inside a frame of {length} bytes")
        payload = bytes(self._held[TAG.size : TAG.size + length])
        del self._held[: TAG.size + length]
        return kind, payload

    async def _hold(self, size: int) -> bool:
        while len(self._held) < size:
            try:
                self._held += await anext(self._source)
            except StopAsyncIteration:
                return False
        return True


class _Reader:
    def __init__(
        self, types: StreamTypes[Any, Any, Any], source: AsyncIterable[bytes], max_item_bytes: int
    ) -> None:
        self._types = types
        self._frames = _Frames(source, max_item_bytes)
        self._header_read = False
        self._footer_read = False

    async def _take(self, kind: ItemKind) -> Any:
        found = await self._frames.peek()
        if found is not kind:
            raise BadStream(f"the stream has no {kind.name.lower()} here, but {_spell(found)}")
        model = self._types.model_of(kind)
        assert model is not None
        return decode_model(model, kind, await self._frames.take())


class StreamReader(_Reader, Generic[ItemT]):
    """Reads a stream of items.

    Args:
        types: What `stream_types` gave.
        source: The bytes.
        max_item_bytes: Longest frame that is taken.
    """

    async def read_items(self) -> AsyncIterator[ItemT]:
        """Yield items until the footer or the end; may be left and taken up again.

        Raises:
            BadStream: A header was not read first, an item does not fit, a frame is unknown or
                too long, or the stream that declares a footer has none.
            CutStream: The bytes end inside a frame.
            Exception: Whatever the source raises.
        """
        if self._types.header_type is not None and not self._header_read:
            raise BadStream("the stream's header is read before its items")
        while (kind := await self._frames.peek()) is ItemKind.ITEM:
            item: ItemT = await self._take(ItemKind.ITEM)
            yield item
        self._check_after_items(kind)

    def _check_after_items(self, kind: ItemKind) -> None:
        if kind is ItemKind.END and self._types.footer_type and not self._footer_read:
            raise BadStream("the stream declares a footer and ends without it")
        if kind is ItemKind.HEADER or (kind is ItemKind.FOOTER and self._types.footer_type is None):
            raise BadStream(f"the stream has {_spell(kind)} where an item or its end belongs")


class _HeaderMixin(_Reader, Generic[HeaderT]):
    async def read_header(self) -> HeaderT:
        """Return the header, which is read first and once.

        Raises:
            BadStream: There is none here, or it does not fit.
            CutStream: The bytes end inside it.
        """
        header: HeaderT = await self._take(ItemKind.HEADER)
        self._header_read = True
        return header


class _FooterMixin(_Reader, Generic[FooterT]):
    async def read_footer(self) -> FooterT:
        """Return the footer, which is read last and once; what follows it is ignored.

        Raises:
            BadStream: There is none here, or it does not fit.
            CutStream: The bytes end inside it.
        """
        footer: FooterT = await self._take(ItemKind.FOOTER)
        self._footer_read = True
        self._frames.end()
        return footer


class StreamReaderWithHeader(StreamReader[ItemT], _HeaderMixin[HeaderT], Generic[ItemT, HeaderT]):
    """Reads a header, then items."""


class StreamReaderWithFooter(StreamReader[ItemT], _FooterMixin[FooterT], Generic[ItemT, FooterT]):
    """Reads items, then a footer."""


class StreamReaderFull(
    StreamReader[ItemT],
    _HeaderMixin[HeaderT],
    _FooterMixin[FooterT],
    Generic[ItemT, HeaderT, FooterT],
):
    """Reads a header, then items, then a footer."""


@overload
def stream_reader(
    types: StreamTypes[ItemT, None, None],
    byte_iterator: AsyncIterable[bytes],
    *,
    max_item_bytes: int = MAX_ITEM_BYTES,
) -> StreamReader[ItemT]: ...
@overload
def stream_reader(
    types: StreamTypes[ItemT, HeaderT, None],
    byte_iterator: AsyncIterable[bytes],
    *,
    max_item_bytes: int = MAX_ITEM_BYTES,
) -> StreamReaderWithHeader[ItemT, HeaderT]: ...
@overload
def stream_reader(
    types: StreamTypes[ItemT, None, FooterT],
    byte_iterator: AsyncIterable[bytes],
    *,
    max_item_bytes: int = MAX_ITEM_BYTES,
) -> StreamReaderWithFooter[ItemT, FooterT]: ...
@overload
def stream_reader(
    types: StreamTypes[ItemT, HeaderT, FooterT],
    byte_iterator: AsyncIterable[bytes],
    *,
    max_item_bytes: int = MAX_ITEM_BYTES,
) -> StreamReaderFull[ItemT, HeaderT, FooterT]: ...
def stream_reader(
    types: StreamTypes[Any, Any, Any],
    byte_iterator: AsyncIterable[bytes],
    *,
    max_item_bytes: int = MAX_ITEM_BYTES,
) -> Any:
    """Return a reader for one stream, which has only the methods that its types allow.

    Args:
        types: What `stream_types` gave.
        byte_iterator: The bytes, cut anywhere; read no further than needed.
        max_item_bytes: Longest frame that is taken, 16 MiB by default.
    """
    classes: dict[tuple[bool, bool], type[_Reader]] = {
        (False, False): StreamReader,
        (True, False): StreamReaderWithHeader,
        (False, True): StreamReaderWithFooter,
        (True, True): StreamReaderFull,
    }
    kind = classes[types.header_type is not None, types.footer_type is not None]
    return kind(types, byte_iterator, max_item_bytes)


def decode_model(model: type[BaseModel], kind: ItemKind, payload: bytes) -> BaseModel:
    """Return the model that a payload holds; fields are found by name and by alias.

    Raises:
        BadStream: It does not fit; names the field and the reason, not the value.
    """
    try:
        return model.model_validate_json(payload, by_name=True, by_alias=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])[:200] or "it"
        raise BadStream(
            f"{_spell(kind)} of the stream is no {model.__name__}: {where}: {fault['msg'][:200]}"
        ) from None


def _spell(kind: ItemKind) -> str:
    if kind is ItemKind.END:
        return "its end"
    return f"{'an' if kind is ItemKind.ITEM else 'a'} {kind.name.lower()}"
