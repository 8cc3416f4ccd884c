"""Request heads that differ from the one before on their connection in what a signature changes.

Whoever asks again on a connection sends the same lines but for a nonce, a signature and a length.
aiohttp's parser and reader take 25 us of some 400 that such a request costs the server. What is not
just like the head before goes to the parser, which alone says what HTTP is.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from struct import Struct
from typing import NamedTuple, Self

from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy, istr

from node.whole import HEAD_END, WholeContent

__all__ = ["HeadMemory", "KnownHead"]

_LENGTH = istr("Content-Length")
_LENGTH_LOWER = "content-length"
# How many heads of a connection are remembered in vain.
_TRIALS = 3
# Of these a value means the same wherever it stands in a head. A space may mean nothing there.
_VISIBLE = (string.ascii_letters + string.digits + string.punctuation).encode()


class _Place(NamedTuple):
    """Where in a head another value may stand.

    Attributes:
        name: The header.
        begin: Where the value begins.
        end: Where it ends.
    """

    name: istr
    begin: int
    end: int


class KnownHead:
    """A head that was parsed, with places where another head may differ.

    Args:
        head: The head, to the empty line that ends it.
        places: Those places, in order; the length of the body is one.
        message: What aiohttp's parser made of the head.
    """

    __slots__ = ("_between", "_cut", "_fixed", "_headers", "_message", "_names", "_size")

    def __init__(self, head: bytes, places: Sequence[_Place], message: RawRequestMessage) -> None:
        cuts = [0, *(at for place in places for at in (place.begin, place.end)), len(head)]
        self._cut = Struct("".join(f"{end - at}s" for at, end in pairwise(cuts)))
        self._fixed = self._cut.unpack(head)[::2]
        self._names = [place.name for place in places]
        self._between = b" " * (len(places) - 1)
        self._headers = CIMultiDict(message.headers)
        self._message = message
        self._size = len(head)

    @classmethod
    def of(cls, head: bytes, message: RawRequestMessage, changing: Collection[str]) -> Self | None:
        """Return what is known from a head, or None where nothing follows from it.

        Args:
            head: All of it, to the empty line that ends it.
            message: What the parser made of it.
            changing: Names, in lower case, of headers that say nothing to HTTP, and whose values
                may be others the next time.
        """
        places = [*_places(head, changing)]
        is_clear = all(
            # Neither twice there nor going on in the next line.
            message.headers.getall(name) == [head[begin:end].decode("latin-1")]
            for name, begin, end in places
        )
        has_length = any(place.name.lower() == _LENGTH_LOWER for place in places)
        return cls(head, places, message) if is_clear and has_length else None

    def request_in(self, data: bytes) -> tuple[RawRequestMessage, WholeContent] | None:
        """Return the request that a read is, or None if it has to be parsed.

        Args:
            data: All that was read, from the beginning of a head.
        """
        size = self._size
        if len(data) < size:
            return None
        pieces = self._cut.unpack_from(data)
        if pieces[::2] != self._fixed:
            return None
        values = b" ".join(pieces[1::2])
        if values.translate(None, _VISIBLE) != self._between:
            return None
        headers = self._headers.copy()
        # `update` takes twice as long.
        for name, value in zip(self._names, values.decode().split(" "), strict=True):
            headers[name] = value
        if headers[_LENGTH] != str(len(data) - size):
            return None
        message = self._message._replace(headers=CIMultiDictProxy(headers))
        return message, WholeContent(data[size:])


def _places(head: bytes, changing: Collection[str]) -> Iterator[_Place]:
    at = 0
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b": ")
        spelt = istr(name.decode("latin-1"))
        if value and (spelt.lower() in changing or spelt.lower() == _LENGTH_LOWER):
            yield _Place(spelt, at + len(name) + len(colon), at + len(line))
        at += len(line) + len(b"\r\n")


class HeadMemory:
    """What a connection knows of the next head, and whether the next read begins with one.

    A connection of whose bytes the parser may hold some of a head back, as it sent more than one
    request at a time or a head in pieces, is left to the parser for good. Of one whose heads differ
    otherwise, such as a proxy's that has many callers, no more are remembered until one comes that
    is like the last that was: to look for the places of a head takes as long as parsing it.

    Args:
        changing: As for `KnownHead.of`.
    """

    __slots__ = ("_changing", "_known", "_missing", "_size", "_trials")

    def __init__(self, changing: Collection[str]) -> None:
        self._changing = changing
        self._known: KnownHead | None = None
        self._size = 0
        self._trials = _TRIALS
        # Bytes of a request that are still to come; below 0 when that is not known any more.
        self._missing = 0

    def request_in(self, data: bytes) -> tuple[RawRequestMessage, WholeContent] | None:
        """As `KnownHead.request_in`, for a read that the parser has not seen."""
        if self._known is None or self._missing:
            return None
        request = self._known.request_in(data)
        if request is not None:
            self._trials = _TRIALS
        return request

    def follow(self, data: bytes, came: Sequence[object]) -> None:
        """Note a read that the parser has taken.

        Args:
            data: What was read.
            came: What the parser found in it: heads, or something else for what is none.
        """
        if self._missing > 0 and not came:
            self._missing -= len(data)
        elif not self._missing and len(came) == 1 and isinstance(came[0], RawRequestMessage):
            self._begin(data, came[0])
        elif data or came:
            self._missing = -1

    def _begin(self, data: bytes, message: RawRequestMessage) -> None:
        size = data.find(HEAD_END) + len(HEAD_END)
        self._missing = size + int(message.headers.get(_LENGTH, 0)) - len(data)
        # Not of the first, which most often is the only one.
        if size == self._size and not self._missing and self._trials:
            self._trials -= 1
            self._known = KnownHead.of(data[:size], message, self._changing)
        self._size = size
