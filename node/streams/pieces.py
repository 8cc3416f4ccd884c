"""Text out of bytes that were cut anywhere, inside a character too."""

from __future__ import annotations

import codecs

from node.errors import BadReply

__all__ = ["TextPieces"]


class TextPieces:
    """Decodes UTF-8 piece by piece; a character cut in two comes out whole with its last byte."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._half = False

    def feed(self, data: bytes) -> str:
        """Return the text that `data` completes, which may be empty.

        Raises:
            BadReply: The bytes are not UTF-8.
        """
        if not self._half:
            try:
                return data.decode()  # a fifth of what the other takes, and nearly always enough
            except UnicodeDecodeError:
                pass
        text = self._decode(data, final=False)
        self._half = bool(self._decoder.getstate()[0])
        return text

    def finish(self) -> None:
        """Check that no character was left half.

        Raises:
            BadReply: The text ended inside a character.
        """
        self._decode(b"", final=True)

    def _decode(self, data: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise BadReply("the peer sent text that is not UTF-8") from error
