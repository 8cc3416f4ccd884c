"""What was received with the head in front of it, and so is all there from the start."""

from __future__ import annotations

__all__ = ["HEAD_END", "WholeContent"]

HEAD_END = b"\r\n\r\n"


class WholeContent:
    """Content that is all there, with what is asked of aiohttp's `StreamReader` without waiting.

    Args:
        data: The content.
    """

    __slots__ = ("_data", "_error")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._error: BaseException | None = None

    def is_eof(self) -> bool:
        """Whether all has come, read or not."""
        return True

    def at_eof(self) -> bool:
        """Whether all has been read."""
        return not self._data

    def read_nowait(self) -> bytes:
        """Return what was not read yet.

        Raises:
            BaseException: What `set_exception` was given.
        """
        if self._error is not None:
            raise self._error
        data, self._data = self._data, b""
        return data

    def exception(self) -> BaseException | None:
        """Return what `set_exception` was given."""
        return self._error

    def set_exception(self, error: BaseException) -> None:
        """Let every read raise this."""
        self._error = error
