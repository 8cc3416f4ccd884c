"""One request from its headers to its reply, as a fixed order of checks.

Rule: the order of `answer` is the order of admission (docs/protocol.md §5). Nothing is moved
before a cheaper check, and nothing about the caller is believed before `prove` returned.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from node.errors import (
    ForwardFailed,
    MalformedRequest,
    MethodNotAllowed,
    UnknownRoute,
    WireError,
)
from node.synapse import ChunkEncoder, StreamingSynapse, Synapse
from node.wire import Caller

from .admission import Admission
from .body import read_body, take_body
from .budget import BodyBudget
from .dialect import Claim, Dialect
from .forward import ForwardRun, StreamAnswer
from .heartbeats import Heartbeats
from .hooks import run_hooks
from .notary import Notary
from .open_reply import OpenReply
from .pace import Pace
from .reply import Reply, error_reply
from .request import Request
from .routes import Route
from .sharing import Sharing
from .slots import Slots
from .standing import Standing
from .streaming import ReplyWriter
from .target import Target, route_name

__all__ = ["Exchange", "Limits", "ReaderGoneError", "Rooms"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what a request may cost before its forward runs.

    Attributes:
        max_body_bytes: Longest body, 16 MiB by default.
        body_timeout_s: Seconds in which a body must have arrived.
    """

    max_body_bytes: int = 16 * 2**20
    body_timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the requests of one axon share."""

    routes: Mapping[str, Route]
    admission: Admission
    standing: Standing
    sharing: Sharing
    pace: Pace
    slots: Slots
    pool: ThreadPoolExecutor
    limits: Limits
    budget: BodyBudget
    heartbeats: Heartbeats
    own_end: Mapping[str, Any]
    notary: Callable[[Caller], Notary | None]


class ReaderGoneError(ConnectionError):
    """The client left while its reply was being written."""


class Exchange:
    """One request in hand.

    Attributes:
        route_name: The route asked for, known or not.
        caller: Set once the signature has held.
        chunks: Chunks sent, for a stream.
        bytes: Bytes of the reply, without HTTP.
        failure: What a stream that had started failed with.
    """

    def __init__(self, request: Request, rooms: Rooms) -> None:
        self._request = request
        self._rooms = rooms
        self.route_name = route_name(request.raw_path)
        self.caller: Caller | None = None
        self.chunks = 0
        self.bytes = 0
        self.failure: WireError | None = None

    async def answer(self) -> Reply | OpenReply:
        """Check the request, run its forward and send the reply.

        Returns:
            The reply; a streamed one has been sent.

        Raises:
            WireError: The request is refused, or the forward failed before anything was sent.
            ReaderGoneError: The client left.
        """
        request, rooms = self._request, self._rooms
        route = self._find_route()
        dialect = rooms.admission.pick(request.headers)
        claim: Claim = dialect.claim(request.headers)
        if claim.public_key is not None and not rooms.standing.lists(claim.public_key):
            await rooms.standing.check_known(claim.public_key)
        body = take_body(request, rooms.budget, max_bytes=rooms.limits.max_body_bytes)
        if body is None:
            body = await read_body(
                request,
                rooms.budget,
                max_bytes=rooms.limits.max_body_bytes,
                timeout_s=rooms.limits.body_timeout_s,
            )
        self.caller = caller = dialect.prove(
            claim, method=request.method, target=request.raw_path, body=body
        )
        if claim.public_key is None:
            await rooms.standing.check_known(caller.public_key)
        if rooms.sharing.is_shared:
            await rooms.sharing.accept(caller, dialect.nonce_tag(claim))
        notary = rooms.notary(caller) if dialect.receipts else None
        rooms.standing.check_allowed(caller)
        with rooms.pace.admit(caller.public_key):
            if rooms.pace.is_shared:
                await rooms.pace.check_shared(caller.public_key)
            target = dialect.read_target(claim, request.raw_path)
            synapse = dialect.parse(route.synapse_type, claim, body)
            self._stamp(synapse, target, caller, dialect.session_of(claim))
            priority = await run_hooks(route, synapse, caller) if route.has_hooks else 0.0
            if not rooms.slots.take(route.name):
                await rooms.slots.acquire(priority, route.name)
            run = ForwardRun(route, rooms.pool)
            try:
                result = await self._run(run, synapse, caller)
                if isinstance(result, Synapse):
                    return self._reply(dialect, result, notary if target.receipt else None)
                writer = self._open_writer(dialect, synapse, target, notary)
                return await self._stream(result, writer)
            finally:
                self._free_slot(run, route.name)

    def _find_route(self) -> Route:
        if not self._request.raw_path.isascii():
            # aiohttp's parser in C refuses it by itself, the one in Python does not.
            raise MalformedRequest("A target is ASCII; percent-encode what is not.")
        route = self._rooms.routes.get(self.route_name)
        if route is None:
            raise UnknownRoute
        if self._request.method != "POST":
            raise MethodNotAllowed
        return route

    def _stamp(self, synapse: Synapse, target: Target, caller: Caller, session: str | None) -> None:
        """Write the verified ends of the exchange over whatever the request said of them."""
        if target.timeout_s is not None:
            # A number that was checked; assigning it would have the model check it again (1 us).
            synapse.__dict__["timeout"] = target.timeout_s
        ip, port = self._request.remote
        # A parsed synapse has fresh ends, since what a body says of them is left out.
        synapse.dendrite.put(
            ip=ip, port=port, nonce=caller.nonce_ns, uuid=session, hotkey=caller.hotkey
        )
        synapse.axon.put(**self._rooms.own_end)

    def _free_slot(self, run: ForwardRun, route: str) -> None:
        """Give the place back, for a thread that can't be stopped when it ends."""
        if run.lingering is None or run.lingering.done():
            self._rooms.slots.release(route)
        else:
            run.lingering.add_done_callback(lambda _: self._rooms.slots.release(route))

    async def _run(
        self, run: ForwardRun, synapse: Synapse, caller: Caller
    ) -> Synapse | StreamAnswer:
        try:
            return await run.start(synapse, caller)
        except WireError:
            raise
        except Exception as error:
            raise self.blame(error) from error

    def _reply(self, dialect: Dialect, synapse: Synapse, notary: Notary | None) -> Reply:
        try:
            body = synapse.encode_body()
        except Exception as error:  # whatever a forward put into its fields
            raise self.blame(error) from error
        self.bytes = len(body)
        receipt = None if notary is None else notary.sign(hashlib.sha256(body).hexdigest())
        return dialect.success(synapse, body, receipt)

    def _open_writer(
        self, dialect: Dialect, synapse: Synapse, target: Target, notary: Notary | None
    ) -> ReplyWriter:
        if isinstance(synapse, StreamingSynapse):
            encoder, typed = synapse.chunk_encoder(), synapse.typed_chunks
        else:
            encoder, typed = ChunkEncoder(), False
        return ReplyWriter(
            self._request,
            target.mode,
            encoder,
            notary,
            digest=target.digest,
            typed=typed,
            headers=dialect.stream_headers(synapse),
        )

    async def _stream(self, push: StreamAnswer, writer: ReplyWriter) -> OpenReply:
        self._rooms.heartbeats.begin(writer)
        try:
            await self._push(push, writer)
        except Exception as error:
            if writer.reader_gone:
                raise ReaderGoneError from error
            raise
        finally:
            self._rooms.heartbeats.end(writer)
            writer.flush()
            self.chunks, self.bytes = writer.chunks, writer.bytes
        return writer.reply

    async def _push(self, push: StreamAnswer, writer: ReplyWriter) -> None:
        try:
            await push(writer.write)
            await writer.finish()
        except Exception as error:
            if writer.reader_gone:
                raise
            failure = error if isinstance(error, WireError) else self.blame(error)
            if not writer.started:
                raise failure from error
            self.failure = failure
            await writer.fail(failure)

    def refuse(self, error: WireError) -> Reply:
        """Return the reply for an error, as the request's protocol words it."""
        dialect = self._rooms.admission.find(self._request.headers)
        return (
            error_reply(error) if dialect is None else dialect.failure(error, self._request.headers)
        )

    def blame(self, error: Exception) -> ForwardFailed:
        """Log what was raised under an id, which is all that the caller learns of it."""
        error_id = secrets.token_hex(8)
        logger.error(
            "answering %s raised %s (error id %s)",
            self.route_name,
            type(error).__name__,
            error_id,
            exc_info=error,
        )
        return ForwardFailed(f"answering raised {type(error).__name__}", error_id=error_id)
