"""Asking many peers one question and reading every reply to its end, whatever they send.

Every wait here is bounded by the call's deadlines, and what a peer may send by a limit, so that
the slowest and the longest reply cost a known amount and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from node.dendrite import Dendrite, Stream, StreamTiming
from node.errors import BadReply, CallError
from node.network import Peer
from node.synapse import StreamingSynapse, Synapse

from .reply import Reply

__all__ = ["gather_replies"]

Told = Callable[[Reply], None]


async def gather_replies(
    dendrite: Dendrite,
    peers: Mapping[int, Peer],
    synapse: Synapse,
    *,
    timeout_s: float,
    max_bytes: int,
    told: Told,
) -> list[Reply]:
    """Ask every peer at once; return when the last reply has come, failed or run out of time.

    Args:
        dendrite: What asks.
        peers: Whom, by uid.
        synapse: What; each peer gets a copy.
        timeout_s: Seconds that one exchange may take in all.
        max_bytes: Longest stream that is read; one that goes on is cut off.
        told: Called with each reply as it ends.

    Returns:
        One reply for each peer, in their order.
    """
    if isinstance(synapse, StreamingSynapse):
        return await _gather_streams(
            dendrite, peers, synapse, timeout_s=timeout_s, max_bytes=max_bytes, told=told
        )
    return await asyncio.gather(
        *(
            _call(dendrite, uid, peer, synapse, timeout_s=timeout_s, told=told)
            for uid, peer in peers.items()
        )
    )


async def _gather_streams(
    dendrite: Dendrite,
    peers: Mapping[int, Peer],
    synapse: StreamingSynapse,
    *,
    timeout_s: float,
    max_bytes: int,
    told: Told,
) -> list[Reply]:
    asking = dendrite.fan_out(
        list(peers.values()), synapse, timeout_s, deserialize=False, raise_errors=True
    )
    async with asking as streams:
        readings = [
            _read(stream, Reply(uid, peer, synapse, stream.timing), max_bytes, told)
            for (uid, peer), stream in zip(peers.items(), streams, strict=True)
        ]
        return await asyncio.gather(*readings)


async def _read(stream: Stream, reply: Reply, max_bytes: int, told: Told) -> Reply:
    try:
        async for _ in stream.chunks():
            if stream.timing.bytes > max_bytes:
                reply.too_long = True
                break
        if reply.too_long:
            await stream.aclose()
        else:
            reply.synapse = await stream.final()
            reply.receipt = stream.receipt
    except CallError as error:
        reply.error = error
    except Exception as error:  # noqa: BLE001 - a hook of the synapse met a reply it can't read
        reply.error = BadReply(
            f"a hook could not read its reply ({type(error).__name__})", peer=str(reply.peer)
        )
    told(reply)
    return reply


async def _call(
    dendrite: Dendrite, uid: int, peer: Peer, synapse: Synapse, *, timeout_s: float, told: Told
) -> Reply:
    timing = StreamTiming()
    reply = Reply(uid, peer, synapse, timing)
    try:
        reply.synapse = await dendrite.call(peer, synapse, timeout_s, False, raise_errors=True)
        timing.total_s = timing.now()
        # The node's own wait for a place is not the peer's time; the synapse has the peer's alone.
        timing.first_byte_s = reply.synapse.dendrite.process_time or timing.total_s
        reply.receipt = reply.synapse.receipt
    except CallError as error:
        timing.total_s = timing.now()
        reply.error = error
    told(reply)
    return reply
