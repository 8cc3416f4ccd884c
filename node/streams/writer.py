"""Writing a typed stream: each call returns the bytes to send next.

What is written can be read again: a header that was declared comes first, a footer comes last and
once, each of its own class, and a value that JSON would change is refused here rather than there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, overload

import pydantic_core
from pydantic import BaseModel

from node.errors import StreamMisuse

from .schema import TAG, ItemKind, StreamTypes

__all__ = [
    "StreamWriter",
    "StreamWriterFull",
    "StreamWriterWithFooter",
    "StreamWriterWithHeader",
    "stream_writer",
]

ItemT = TypeVar("ItemT", bound=BaseModel)
HeaderT = TypeVar("HeaderT", bound=BaseModel)
FooterT = TypeVar("FooterT", bound=BaseModel)


class _Writer:
    """Order and encoding, for whichever frames the public classes offer."""

    def __init__(self, types: StreamTypes[Any, Any, Any]) -> None:
        self._types = types
        self._last: ItemKind | None = None

    def finish(self) -> None:
        """Check that the stream is whole: its header and footer were written, if declared.

        Raises:
            StreamMisuse: One is missing.
        """
        if self._types.footer_type is not None and self._last is not ItemKind.FOOTER:
            raise StreamMisuse("the stream declares a footer and ends without it")
        if self._last is None:
            self._check_header_first(ItemKind.ITEM)

    def _write(self, kind: ItemKind, model: BaseModel) -> bytes:
        if self._last is ItemKind.FOOTER:
            raise StreamMisuse(f"a stream can't go on with {_article(kind)} after its footer")
        self._check_header_first(kind)
        payload = _encode(self._types.model_of(kind), kind, model)
        self._last = kind
        return TAG.pack(kind, len(payload)) + payload

    def _check_header_first(self, kind: ItemKind) -> None:
        if kind is ItemKind.HEADER and self._last is not None:
            raise StreamMisuse("a stream's header comes once, before anything else")
        if kind is not ItemKind.HEADER and self._last is None and self._types.header_type:
            raise StreamMisuse("the stream declares a header, which comes before anything else")


class StreamWriter(_Writer, Generic[ItemT]):
    """Writes a stream of items.

    Args:
        types: What `stream_types` gave.
    """

    def yield_item(self, item: ItemT) -> bytes:
        """Return the frame of the next item.

        Raises:
            StreamMisuse: It is of another class, out of order, or holds what JSON can't carry.
        """
        return self._write(ItemKind.ITEM, item)


class _HeaderMixin(_Writer, Generic[HeaderT]):
    def yield_header(self, header: HeaderT) -> bytes:
        """Return the frame of the header.

        Raises:
            StreamMisuse: As for an item.
        """
        return self._write(ItemKind.HEADER, header)


class _FooterMixin(_Writer, Generic[FooterT]):
    def yield_footer(self, footer: FooterT) -> bytes:
        """Return the frame of the footer, after which nothing can be written.

        Raises:
            StreamMisuse: As for an item.
        """
        return self._write(ItemKind.FOOTER, footer)


class StreamWriterWithHeader(StreamWriter[ItemT], _HeaderMixin[HeaderT], Generic[ItemT, HeaderT]):
    """Writes a header, then items."""


class StreamWriterWithFooter(StreamWriter[ItemT], _FooterMixin[FooterT], Generic[ItemT, FooterT]):
    """Writes items, then a footer."""


class StreamWriterFull(
    StreamWriter[ItemT],
    _HeaderMixin[HeaderT],
    _FooterMixin[FooterT],
    Generic[ItemT, HeaderT, FooterT],
):
    """Writes a header, then items, then a footer."""


@overload
def stream_writer(types: StreamTypes[ItemT, None, None]) -> StreamWriter[ItemT]: ...
@overload
def stream_writer(
    types: StreamTypes[ItemT, HeaderT, None],
) -> StreamWriterWithHeader[ItemT, HeaderT]: ...
@overload
def stream_writer(
    types: StreamTypes[ItemT, None, FooterT],
) -> StreamWriterWithFooter[ItemT, FooterT]: ...
@overload
def stream_writer(
    types: StreamTypes[ItemT, HeaderT, FooterT],
) -> StreamWriterFull[ItemT, HeaderT, FooterT]: ...
def stream_writer(types: StreamTypes[Any, Any, Any]) -> Any:
    """Return a writer for one stream, which has only the methods that its types allow."""
    classes: dict[tuple[bool, bool], type[_Writer]] = {
        (False, False): StreamWriter,
        (True, False): StreamWriterWithHeader,
        (False, True): StreamWriterWithFooter,
        (True, True): StreamWriterFull,
    }
    return classes[types.header_type is not None, types.footer_type is not None](types)


def _encode(expected: type[BaseModel] | None, kind: ItemKind, model: BaseModel) -> bytes:
    if expected is None or not isinstance(model, expected):
        name = expected.__name__ if expected else "no model"
        raise StreamMisuse(
            f"{_article(kind)} of this stream is of {name}, not {type(model).__name__}"
        )
    try:
        payload = model.model_dump_json().encode()
    except (pydantic_core.PydanticSerializationError, UnicodeError) as error:
        raise StreamMisuse(f"{_article(kind)} can't be written as JSON: {error}") from error
    if b"null" in payload:
        _check_no_number_became_null(model, payload, kind)
    return payload


def _check_no_number_became_null(model: BaseModel, payload: bytes, kind: ItemKind) -> None:
    """Refuse NaN and infinities where the model writes them as null, which no reader undoes."""
    lost = sum(1 for value in _leaves(model.model_dump()) if _is_not_finite(value))
    if not lost:
        return
    nulls = sum(1 for value in _leaves(pydantic_core.from_json(payload)) if value is None)
    if nulls > sum(1 for value in _leaves(model.model_dump()) if value is None):
        raise StreamMisuse(
            f"{_article(kind)} holds NaN or an infinity, which JSON can't carry; set "
            "ser_json_inf_nan='strings' in the model's config"
        )


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _article(kind: ItemKind) -> str:
    return f"{'an' if kind is ItemKind.ITEM else 'a'} {kind.name.lower()}"
