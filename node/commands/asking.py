"""One prompt through several peers at once, which `ganglion query` and `ganglion demo` share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from node.dendrite import Dendrite, Stream
from node.errors import BadReceipt, CallError
from protocols.prompting import StreamPrompting

from .display import Display
from .replies import Reply, TokenCount
from .saved_reply import SavedReply

if TYPE_CHECKING:
    from node.keys import Keypair, Wallet

__all__ = ["ask"]


async def ask(
    wallet: Wallet | Keypair,
    replies: Sequence[Reply],
    prompt: str,
    *,
    timeout_s: float,
    display: Display,
    protocols: Iterable[str] = ("btauth",),
    allow_private: bool = True,
    keep: bool = False,
) -> None:
    """Asks the target of every reply at once and fills the replies in.

    A peer that fails has its status in its reply; it never stops the others.

    Args:
        wallet: Signs the requests.
        replies: Fresh ones, one for each peer.
        prompt: The text.
        timeout_s: Most time that one reply may take.
        display: Gets each piece of text as it comes.
        protocols: Signing protocols that may be spoken, the preferred one first.
        allow_private: As for `Dendrite`.
        keep: Whether replies with a receipt keep all that it is about.

    Raises:
        WalletError: The wallet's hotkey can't be loaded, or can't sign in a peer's protocol.
    """
    synapse = StreamPrompting(roles=["user"], messages=[prompt])
    peers = [reply.target.peer for reply in replies]
    async with (
        Dendrite(wallet, protocols=protocols, allow_private=allow_private) as dendrite,
        dendrite.fan_out(peers, synapse, timeout_s, False, raise_errors=True) as streams,
    ):
        pairs = list(zip(replies, streams, strict=True))
        for reply, stream in pairs:
            reply.timing = stream.timing
            if keep:
                stream.keep_chunks()
        await asyncio.gather(*(_read(*pair, display) for pair in pairs))
        if keep:
            for reply, stream in pairs:
                reply.saved = _saved(stream, synapse.encode_body())


async def _read(reply: Reply, stream: Stream, display: Display) -> None:
    tokens = TokenCount()

    def take(text: str) -> None:
        reply.timing.tokens = tokens.add(text)
        display.add(reply, text)

    status, message = 200, "Success"
    receipt = "none"
    try:
        async for piece in stream.chunks():
            take(piece)
        if stream.body is not None:
            take(getattr(stream.synapse, "completion", ""))
    except CallError as error:
        status, message = error.status, error.detail
        receipt = "bad" if isinstance(error, BadReceipt) else "none"
    reply.receipt = receipt if stream.receipt is None else "ok"
    reply.message, reply.status = message, status


def _saved(stream: Stream, request_body: bytes) -> SavedReply | None:
    if stream.receipt is None:
        return None
    return SavedReply(
        stream.receipt,
        request=stream.request,
        request_body=request_body,
        chunks=stream.kept_chunks if stream.body is None else None,
        body=stream.body,
    )
