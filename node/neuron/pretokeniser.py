"""Cuts text the way GPT-2's tokeniser does before it looks up its vocabulary.

The rule is that of the GPT-2 paper's code: an English contraction's tail, or a run of letters, of
digits or of other signs with at most one space before it, or white space. Letters and digits are
Unicode's. The tokens of any text, joined, are that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["split_tokens"]

_TOKEN = re.compile(
    r"""'(?:[sdmt]|ll|ve|re)
      | [ ]?[^\W\d_]+
      | [ ]?\d+
      | [ ]?(?:[^\w\s]|_)+
      | \s+(?!\S)
      | \s+
    """,
    re.VERBOSE,
)


def split_tokens(text: str) -> Iterator[str]:
    """Yields the tokens of a text, in order; none for an empty one."""
    return (match.group() for match in _TOKEN.finditer(text))
