"""Text of others made safe for a terminal or a log file.

A peer chooses its tokens, names and messages. What in them a terminal would obey, such as an escape
sequence that repaints the screen, is shown by its code instead.
"""

from __future__ import annotations

__all__ = ["one_line", "safe_text"]

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 0x09}
_LINE_ENDS = {0x0A: "\\n", 0x0D: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_ANY_LINE = {code: shown for code, shown in _CONTROL.items() if code != 0x0A}
_ONE_LINE = _CONTROL | _LINE_ENDS


def safe_text(text: str) -> str:
    """Returns the text with control characters shown, but for tabs and line feeds."""
    return text.translate(_ANY_LINE)


def one_line(text: str) -> str:
    """Returns the text with control characters and line ends shown, but for tabs."""
    return text.translate(_ONE_LINE)
