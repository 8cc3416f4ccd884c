"""Checking the receipt of a reply against the request and the reply themselves."""

from __future__ import annotations

from typing import Any

from node.errors import BadReceipt
from node.network import Peer
from node.wire import Receipt

__all__ = ["checked_receipt"]


def checked_receipt(receipt: Any, peer: Peer, *, request: str, reply: str, chunks: int) -> Receipt:
    """Return a receipt that holds for this exchange.

    Args:
        receipt: A JSON document, or the value of a header.
        peer: Who must have signed it.
        request: Digest of the signed request, in hex.
        reply: Digest of the reply that came, spelt as in `Receipt.reply`.
        chunks: How many chunks came; 0 for a unary reply.

    Raises:
        BadReceipt: It does not hold, or is for another exchange; names the peer.
    """
    try:
        if isinstance(receipt, str):
            found = Receipt.of_header(receipt)
        else:
            found = Receipt.of_document(receipt)
        found.check_request(request)
        found.check_reply(reply, chunks)
        found.verify(peer.hotkey)
    except BadReceipt as error:
        raise BadReceipt(error.detail, peer=str(peer)) from error
    return found
