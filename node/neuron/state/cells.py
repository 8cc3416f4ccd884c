"""Values made fit for a column, whatever they are.

Part of what a validator writes down was said by peers, or by a scoring function that read what
peers said: a count of tokens with a thousand digits, a rate that is no number, half of a surrogate
pair. SQLite refuses such values with an exception, and one peer could so keep a step from being
saved. Here each becomes the nearest value that can be stored, and nothing raises.
"""

from __future__ import annotations

from node.neuron.scoring import finite

__all__ = ["MAX_TEXT_CHARS", "integer", "number", "optional_integer", "optional_number", "text"]

MAX_TEXT_CHARS = 500
_MOST = 2**63 - 1


def optional_number(value: object) -> float | None:
    """A finite float, or None."""
    return finite(value)


def number(value: object) -> float:
    """A finite float, 0.0 for what is none."""
    found = finite(value)
    return 0.0 if found is None else found


def optional_integer(value: object) -> int | None:
    """An integer of 64 bits, the nearest one for what is beyond; None for what is no number."""
    if isinstance(value, int):
        return max(-_MOST, min(_MOST, int(value)))
    found = finite(value)
    return None if found is None else optional_integer(int(found))


def integer(value: object) -> int:
    """As `optional_integer`, and 0 for what is no number."""
    return optional_integer(value) or 0


def text(value: object) -> str:
    """At most 500 characters of a text, all of which UTF-8 can hold."""
    cut = str(value)[:MAX_TEXT_CHARS] if isinstance(value, str) else ""
    return cut.encode("utf-8", "replace").decode("utf-8")
