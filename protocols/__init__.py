"""Typed protocols, one module each; add yours beside `prompting`."""

from __future__ import annotations

from .prompting import Prompting, StreamPrompting

__all__ = ["Prompting", "StreamPrompting"]
