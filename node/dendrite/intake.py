"""What the bytes of one streamed reply mean: its chunks, its end, and whether the two agree.

Rule: no I/O, no clock, no loop; `pump` has those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from node.errors import BadReceipt, BadReply, CallError, StreamInterrupted
from node.network import Peer
from node.streams import FrameKind, StreamMode, decoder_for
from node.wire import DIGEST_HEADER, DigestName, Receipt, ReplyDigest, digest_of_request

from .chunked import Piece
from .question import Question
from .receipts import checked_receipt
from .reply_limits import ReplyLimits
from .translate import parse_document, refusal

__all__ = ["Intake"]

# At the default pace of one every 10 s this is nearly three hours without a chunk.
_MAX_HEARTBEATS = 1000


class Intake:
    """Takes one streamed reply apart.

    Args:
        peer: Who replies.
        question: What it was asked; frames unless that names another mode.
        limits: Largest things that are taken.
        request: What was signed to ask for this, which a receipt must name.

    Attributes:
        chunks: How many chunks came.
        receipt: The peer's receipt, checked, once it came.
    """

    def __init__(self, peer: Peer, question: Question, limits: ReplyLimits, request: bytes) -> None:
        self._peer = peer
        self._request = request
        self._mode = question.mode or StreamMode.FRAMES
        self._decoder = decoder_for(self._mode, max_frame_bytes=limits.frame_bytes)
        self._digest = ReplyDigest(question.reply_digest)  # the head may name another
        self._heartbeats = 0
        self.chunks = 0
        self.receipt: Receipt | None = None

    def begin(self, content_type: str, headers: Mapping[str, str]) -> None:
        """Look at the head of the reply.

        Raises:
            BadReply: It is no stream in this mode, or digested in a way that is not known here.
        """
        if content_type != self._mode.content_type:
            raise self._bad(f"it sent {content_type}, not a stream in {self._mode} mode")
        name = headers.get(DIGEST_HEADER.lower(), DigestName.SHA256)
        if name != self._digest.name:
            try:
                self._digest = ReplyDigest(DigestName(name))
            except ValueError:
                raise self._bad("it digests its stream in a way that is not known here") from None

    def take(self, pieces: Sequence[Piece]) -> Iterator[list[bytes]]:
        """Yield the chunks in what came, those that follow each other in one list.

        Args:
            pieces: The next bytes.

        Raises:
            CallError: What came is broken, or says that the stream failed; what was yielded
                before is good.
        """
        for kind, payloads in self._decoder.runs(*pieces):
            if kind is FrameKind.CHUNK:
                if all(payloads):
                    yield self._count(payloads)
                else:
                    yield self._count(payloads[: payloads.index(b"")])
                    raise self._bad("it sent an empty chunk")
            elif kind is FrameKind.END:
                self._check_end(payloads[0])
            elif kind is FrameKind.ERROR:
                raise self._read_error(payloads[0])
            else:
                self._count_heartbeat(payloads[0])

    def check_closed(self) -> None:
        """Check that the stream may end here.

        Raises:
            StreamInterrupted: It broke off.
        """
        if not self._decoder.closed:
            raise StreamInterrupted(
                "the stream broke off before its END", chunks=self.chunks, peer=str(self._peer)
            )

    def _count(self, chunks: list[bytes]) -> list[bytes]:
        self._heartbeats = 0
        self.chunks += len(chunks)
        if self._mode is not StreamMode.RAW:  # which has no END to compare a digest with
            self._digest.add_all(chunks)
        return chunks

    def _count_heartbeat(self, payload: bytes) -> None:
        if payload:
            raise self._bad("it sent a heartbeat that is not empty")
        self._heartbeats += 1
        if self._heartbeats > _MAX_HEARTBEATS:
            raise self._bad("it sends heartbeats and no chunks")

    def _read_error(self, payload: bytes) -> CallError:
        status = parse_document(payload).get("status")
        if not isinstance(status, int) or not 400 <= status < 600:
            status = 500
        error = refusal(str(self._peer), status, payload)
        error.retry_safe = False
        return error

    def _check_end(self, payload: bytes) -> None:
        document = parse_document(payload)
        digest = self._digest
        if not {"chunks", digest.name} <= document.keys():
            raise self._bad(f"its END has no number of chunks or no {digest.name} digest")
        receipt = document.get("receipt")
        if receipt is not None:
            self.receipt = checked_receipt(
                receipt,
                self._peer,
                request=digest_of_request(self._request),
                reply=digest.signed_text(),
                chunks=self.chunks,
            )
        elif (document["chunks"], document[digest.name]) != (self.chunks, digest.hexdigest()):
            raise BadReceipt("its END does not match the chunks that came", peer=str(self._peer))

    def _bad(self, detail: str) -> BadReply:
        return BadReply(detail, peer=str(self._peer))
