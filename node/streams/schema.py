"""The types of one typed stream: items, and an optional header and footer.

The frames are those of Truss Chains (`truss_chains.streaming`, 0.18): one byte of kind, four bytes
of payload length, big-endian, and the JSON of one pydantic model.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, overload

from pydantic import BaseModel
from typing_extensions import TypeVar

__all__ = ["TAG", "ItemKind", "StreamTypes", "stream_types"]

TAG = struct.Struct(">BI")

ItemT = TypeVar("ItemT", bound=BaseModel)
HeaderT = TypeVar("HeaderT", bound=BaseModel | None, default=None)
FooterT = TypeVar("FooterT", bound=BaseModel | None, default=None)
HeaderModelT = TypeVar("HeaderModelT", bound=BaseModel)
FooterModelT = TypeVar("FooterModelT", bound=BaseModel)


class ItemKind(IntEnum):
    """What a frame of a typed stream carries; 1 is not set, 5 ends a stream early."""

    HEADER = 2
    ITEM = 3
    FOOTER = 4
    END = 5


@dataclass(frozen=True, slots=True)
class StreamTypes(Generic[ItemT, HeaderT, FooterT]):
    """The models of a typed stream, shared by its writer and its readers.

    Attributes:
        item_type: Model of every item.
        header_type: Model of what comes first, or None.
        footer_type: Model of what comes last, or None.
    """

    item_type: type[ItemT]
    header_type: type[BaseModel] | None = None
    footer_type: type[BaseModel] | None = None

    def model_of(self, kind: ItemKind) -> type[BaseModel] | None:
        """Return the model of a kind of frame, or None where this stream has none."""
        models: dict[ItemKind, type[BaseModel] | None] = {
            ItemKind.HEADER: self.header_type,
            ItemKind.ITEM: self.item_type,
            ItemKind.FOOTER: self.footer_type,
        }
        return models.get(kind)


@overload
def stream_types(item_type: type[ItemT]) -> StreamTypes[ItemT, None, None]: ...
@overload
def stream_types(
    item_type: type[ItemT], *, header_type: type[HeaderModelT]
) -> StreamTypes[ItemT, HeaderModelT, None]: ...
@overload
def stream_types(
    item_type: type[ItemT], *, footer_type: type[FooterModelT]
) -> StreamTypes[ItemT, None, FooterModelT]: ...
@overload
def stream_types(
    item_type: type[ItemT],
    *,
    header_type: type[HeaderModelT],
    footer_type: type[FooterModelT],
) -> StreamTypes[ItemT, HeaderModelT, FooterModelT]: ...
def stream_types(
    item_type: type[Any],
    *,
    header_type: type[Any] | None = None,
    footer_type: type[Any] | None = None,
) -> StreamTypes[Any, Any, Any]:
    """Return the types of a stream.

    Args:
        item_type: pydantic model of the items.
        header_type: pydantic model of the header, or None for a stream without one.
        footer_type: pydantic model of the footer, or None for a stream without one.

    Raises:
        TypeError: One of them is not a pydantic model.
    """
    for name, model in (("item", item_type), ("header", header_type), ("footer", footer_type)):
        if model is None and name != "item":
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"the {name} type of a stream is a pydantic model, not {model!r}")
    return StreamTypes(item_type, header_type, footer_type)
