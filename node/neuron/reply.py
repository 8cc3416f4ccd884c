"""What a validator has of one peer's reply, and what it thinks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.dendrite import StreamTiming
from node.errors import CallError
from node.network import Peer
from node.wire import Receipt

from .pretokeniser import split_tokens
from .scoring import Reason

__all__ = ["Reply", "Verdict"]


@dataclass(slots=True)
class Reply:
    """One peer's reply to one question, read to its end or to its failure.

    Attributes:
        uid: The peer's uid when it was asked.
        peer: Whom that was.
        synapse: The finished synapse; after a failure, as far as it got.
        timing: When things happened; None for a call that failed before it began.
        receipt: The peer's signed receipt, checked against this very exchange, or None.
        error: Why the call failed, or None.
        too_long: Whether it was cut off because it went over the limit.
    """

    uid: int
    peer: Peer
    synapse: Any
    timing: StreamTiming | None = None
    receipt: Receipt | None = None
    error: CallError | None = None
    too_long: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all of it came."""
        return self.error is None and not self.too_long

    @property
    def text(self) -> str:
        """The completion of a `TextStream`, or of whatever else has one; "" otherwise."""
        completion = getattr(self.synapse, "completion", "")
        return completion if isinstance(completion, str) else ""

    @property
    def status(self) -> int:
        """The HTTP status that tells how it went; 200 for a complete reply."""
        return 200 if self.error is None else self.error.status

    @property
    def first_byte_s(self) -> float | None:
        """Seconds to the first chunk, by this side's clock; None if none came."""
        return None if self.timing is None else self.timing.first_byte_s

    @property
    def total_s(self) -> float | None:
        """Seconds to the end."""
        return None if self.timing is None else self.timing.total_s

    def count_tokens(self) -> int | None:
        """Tokens of the text by this side's own count; None without a text."""
        return sum(1 for _ in split_tokens(self.text)) if self.text else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply is worth.

    Attributes:
        reward: 0 to 1.
        reason: One word: `ok`, or why the reward is 0. A `Reason`, or a word of the subclass's
            own, of lower-case letters, digits and underscores.
    """

    reward: float
    reason: str = Reason.OK
