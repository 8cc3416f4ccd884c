"""`ganglion report`: a validator's state as one page to look at.

Rule 1: importing this package needs matplotlib, which is an extra; who imports it checks first.
Rule 2: nothing here opens a socket, and nothing in the page does.
"""

from __future__ import annotations

from .digest import Digest
from .page import page_of

__all__ = ["Digest", "page_of"]
