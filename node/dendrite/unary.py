"""A call whose reply comes in one piece."""

from __future__ import annotations

import hashlib

from node.errors import BadReply
from node.network import Peer
from node.wire import RECEIPT_HEADER, Receipt

from .deadlines import PhaseClock
from .http_reply import HttpReply
from .receipts import checked_receipt
from .request import Outbound
from .session import CallTrace
from .settle import OwnCopy
from .timing import StreamTiming
from .translate import translated
from .voices import Asking

__all__ = ["call_unary", "read_reply"]


async def call_unary(
    outbound: Outbound,
    peer: Peer,
    asking: Asking,
    copy: OwnCopy,
    *,
    max_reply_bytes: int,
) -> None:
    """Ask one peer and fill the call's copy with its answer and receipt.

    Raises:
        CallError: No usable reply came.
    """
    clock, timing = PhaseClock(asking.deadlines), StreamTiming()
    trace = CallTrace(clock, timing)
    with translated(peer, clock, timing):
        try:
            written = outbound.write_now(peer, asking, trace)
            try:
                # Only now: the peer is at work meanwhile.
                synapse = copy.get()
                asked = synapse.question_fields()
                if written is None:
                    asking.keep()
            except BaseException:
                if written is not None:
                    outbound.drop(written)
                raise
            if written is None:
                async with clock.waiting("connect"):
                    written = await outbound.write(peer, asking, trace)
            clock.begin("first_byte", written.connection.time_out)
            response = await outbound.answer(peer, written, trace)
            try:
                body, receipt = await read_reply(response, peer, max_reply_bytes, trace)
            except BaseException:
                response.close()
                raise
            response.release()
        finally:
            clock.close()
    try:
        synapse.parse_answer(body, asked)
    except BadReply as error:
        raise BadReply(error.detail, peer=str(peer)) from error
    synapse.attach_receipt(receipt)


async def read_reply(
    response: HttpReply, peer: Peer, limit: int, trace: CallTrace
) -> tuple[bytes, Receipt | None]:
    """Return the body of a JSON reply and its receipt, checked, if it has one.

    The clock is in `first_byte` until something of the body comes, whenever the head came, and in
    a new `idle` after each read.

    Raises:
        BadReply: It is no JSON, or longer than `limit`.
        BadReceipt: Its receipt does not hold.
    """
    if response.content_type != "application/json":
        raise BadReply(f"it sent {response.content_type} instead of JSON", peer=str(peer))
    body = await response.read_body(limit, trace.clock)
    if len(body) > limit:
        raise BadReply(f"its reply is over {limit} bytes", peer=str(peer))
    signed = response.headers.get(RECEIPT_HEADER)
    if signed is None:
        return body, None
    reply = hashlib.sha256(body).hexdigest()
    return body, checked_receipt(signed, peer, request=trace.request_digest, reply=reply, chunks=0)
