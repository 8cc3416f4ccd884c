"""Keys, addresses and wallets: who a node is, and the files that hold it."""

from __future__ import annotations

from .keypair import Keypair, Secret
from .signatures import SCHEMES, verify_signature
from .ss58 import normalise_address, ss58_decode, ss58_encode
from .wallet import Wallet, signer_of

__all__ = [
    "SCHEMES",
    "Keypair",
    "Secret",
    "Wallet",
    "normalise_address",
    "signer_of",
    "ss58_decode",
    "ss58_encode",
    "verify_signature",
]
