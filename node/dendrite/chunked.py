"""The content of a reply in the chunks of HTTP/1.1 (RFC 9112 §7.1), without a copy of long ones.

aiohttp's parser copies each chunk out of what was read, and its reader joins them again: 10 us of
the 30 that reading 64 KiB takes without a hash. Its parser still reads the head.

Rule: nothing here does I/O; where the bytes come from and who is held back is `connection`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aiohttp.http_exceptions import TransferEncodingError

__all__ = ["ChunkedContent", "Piece", "Read"]

Piece = bytes | memoryview
Read = bytes | bytearray

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_END = b"\r\n"
_MAX_LINE_BYTES = 8190
_MAX_TRAILERS = 128
# From here on a copy costs more than a view does.
_LONG_BYTES = 4096


class ChunkedContent:
    """What has come of a chunked reply and was not taken yet.

    Args:
        on_room: Called when what was held has been taken.

    Attributes:
        held: Bytes that are held.
        surplus: Whether bytes came beyond the end.
    """

    __slots__ = (
        "_after_chunk",
        "_ended",
        "_error",
        "_left",
        "_line",
        "_on_room",
        "_pieces",
        "_trailers",
        "held",
        "surplus",
    )

    def __init__(self, on_room: Callable[[], None]) -> None:
        self._on_room = on_room
        self._pieces: list[Piece] = []
        self._left = 0  # bytes of the present chunk that are to come
        self._after_chunk = False  # whether the line that is awaited ends a chunk
        self._line = b""  # the beginning of a line whose end is to come
        self._trailers: int | None = None  # how many came, from the last chunk on
        self._ended = False
        self._error: BaseException | None = None
        self.held = 0
        self.surplus = False

    def feed(self, data: Read, size: int | None = None) -> None:
        """Take the framing off what came.

        Args:
            data: Where the bytes are; they stay as they are until `keep` or the next `feed`.
            size: How many there are, from its begin; all, if it is None.

        Raises:
            TransferEncodingError: It is no chunked framing. What came before is held.
        """
        start, end = 0, len(data) if size is None else size
        while start < end:
            if self._ended:
                self.surplus = True
                return
            cut = self._cut if self._left else self._read_line
            start = cut(data, start, end)

    def keep(self) -> None:
        """Copy what is held, so that what was fed may change; short pieces are joined.

        A byte in a piece of its own would cost 40.
        """
        pieces = self._pieces
        if self.held < len(pieces) * _LONG_BYTES:
            self._pieces = [b"".join(pieces)]
        else:
            self._pieces = [bytes(piece) for piece in pieces]

    def take(self) -> list[Piece]:
        """Return what came since the last time, in order; none when there is nothing.

        A long piece is a view of what was fed, and good for as long as that is.

        Raises:
            BaseException: What ended the content early, once all before it was taken.
        """
        pieces = self._pieces
        if pieces:
            self._pieces, self.held = [], 0
            self._on_room()
        elif self._error is not None:
            raise self._error
        return pieces

    def is_eof(self) -> bool:
        """Whether all has come."""
        return self._ended

    def at_eof(self) -> bool:
        """Whether all has come and was taken."""
        return self._ended and not self._pieces

    def set_exception(self, error: BaseException, cause: BaseException | None = None) -> None:
        """Let whoever takes the content get an error, after what is held."""
        if cause is not None:
            error.__cause__ = cause
        self._error = error

    def _cut(self, data: Read, start: int, size: int) -> int:
        """Hold what there is of the present chunk, and return where it ends."""
        end = min(start + self._left, size)
        length = end - start
        long = length >= _LONG_BYTES
        self._pieces.append(memoryview(data)[start:end] if long else bytes(data[start:end]))
        self.held += length
        self._left -= length
        if self._left:
            return end
        if data.startswith(_END, end, size):
            return end + len(_END)
        self._after_chunk = True
        return end

    def _read_line(self, data: Read, start: int, size: int) -> int:
        """Read a line of the framing, as far as it has come, and return where it ends."""
        if not (self._line or self._after_chunk) and self._trailers is None:
            # A line that is whole and as it should be, as nearly all are.
            found = _SIZE_LINE.match(data, start, min(start + _MAX_LINE_BYTES, size))
            if found is not None:
                self._begin_chunk(found)
                return found.end()
        end = data.find(b"\n", start, size) + 1
        line = self._line + data[start : end or size]
        if len(line) > _MAX_LINE_BYTES:
            raise TransferEncodingError("a line of the chunked framing is too long")
        if not end:
            self._line = line
            return size
        self._line = b""
        if self._after_chunk:
            self._after_chunk = False
            if line != _END:
                raise TransferEncodingError("a chunk does not end where its size says")
        elif self._trailers is None:
            self._begin_chunk(_SIZE_LINE.fullmatch(line))
        else:
            self._take_trailer(line)
        return end

    def _begin_chunk(self, found: re.Match[bytes] | None) -> None:
        if found is None:
            raise TransferEncodingError("a chunk has no size")
        self._left = int(found[1], 16)
        if not self._left:
            self._trailers = 0

    def _take_trailer(self, line: bytes) -> None:
        """Pass over what comes after the last chunk, up to the empty line that ends the reply."""
        assert self._trailers is not None
        self._trailers += 1
        if line == _END:
            self._ended = True
        elif not line.endswith(_END) or self._trailers > _MAX_TRAILERS:
            raise TransferEncodingError("what follows the last chunk is no trailer")
