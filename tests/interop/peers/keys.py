"""Throwaway keys of the old SDK, made of development URIs; nothing is read or written."""

from __future__ import annotations

from typing import Any

try:
    from bittensor_wallet import Keypair
except ImportError:  # before SDK 8
    from substrateinterface import Keypair

__all__ = ["keypair_of"]


def keypair_of(uri: str) -> Any:
    """Return the key pair of a URI such as //Alice."""
    return Keypair.create_from_uri(uri)
