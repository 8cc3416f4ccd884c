"""A call whose reply comes in one piece."""

from __future__ import annotations

import aiohttp

from node.errors import BadReply
from node.network import Peer
from node.synapse import Synapse

from .deadlines import PhaseClock
from .request import Question, Signer, send
from .session import CallTrace, Session
from .timing import StreamTiming
from .translate import translated

__all__ = ["call_unary", "read_reply"]


async def call_unary(
    session: Session,
    signer: Signer,
    peer: Peer,
    question: Question,
    synapse: Synapse,
    *,
    max_reply_bytes: int,
) -> None:
    """Ask one peer and fill the synapse with its answer.

    Raises:
        CallError: No usable reply came.
    """
    clock, timing = PhaseClock(question.deadlines), StreamTiming()
    asked = synapse.question_fields()
    with translated(str(peer), clock, timing):
        async with clock.waiting("connect"):
            response = await send(session, signer, peer, question, CallTrace(clock, timing))
            async with response:
                body = await read_reply(response, peer, max_reply_bytes)
    synapse.parse_answer(body, asked)


async def read_reply(response: aiohttp.ClientResponse, peer: Peer, limit: int) -> bytes:
    """Return the body of a JSON reply.

    Raises:
        BadReply: It is no JSON, or longer than `limit`.
    """
    if response.content_type != "application/json":
        response.close()
        raise BadReply(f"it sent {response.content_type} instead of JSON", peer=str(peer))
    pieces: list[bytes] = []
    held = 0
    while piece := await response.content.readany():
        held += len(piece)
        if held > limit:
            response.close()
            raise BadReply(f"its reply is over {limit} bytes", peer=str(peer))
        pieces.append(piece)
    return b"".join(pieces)
