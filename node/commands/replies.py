"""What is known of each peer that was asked, while it answers and afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.dendrite import StreamTiming
from node.network import Peer
from node.neuron.pretokeniser import split_tokens

from .saved_reply import SavedReply

__all__ = ["Reply", "Target", "TokenCount"]

# No token of a language is that long; what is counted once need not be looked at again.
_LONGEST_TOKEN = 1000


@dataclass(frozen=True, slots=True)
class Target:
    """A peer that is asked, and its uid where it has one."""

    peer: Peer
    uid: int | None = None

    @property
    def label(self) -> str:
        """`uid 3`, or the start of the hotkey."""
        return f"uid {self.uid}" if self.uid is not None else self.peer.hotkey[:8]

    @property
    def file_label(self) -> str:
        """`uid-3`, or the start of the hotkey."""
        return self.label.replace(" ", "-")


class TokenCount:
    """Counts the tokens of a text that comes in pieces, as GPT-2 cuts them."""

    def __init__(self) -> None:
        self._closed = 0
        self._open = ""

    def add(self, piece: str) -> int:
        """Takes the next piece; returns the tokens so far."""
        *closed, self._open = split_tokens(self._open + piece) if piece else [self._open]
        self._closed += len(closed)
        if len(self._open) > _LONGEST_TOKEN:
            self._closed, self._open = self._closed + 1, ""
        return self._closed + bool(self._open)


@dataclass(slots=True, eq=False)
class Reply:
    """How one peer does.

    Attributes:
        target: Who was asked.
        timing: When things happened, what came, and how many tokens it was.
        status: As HTTP has it, 200 for a reply that came whole; None while it is not over.
        message: The sentence that goes with it.
        receipt: `ok` for one that holds, `bad`, or `none`; "" while the reply is not over.
        saved: What was signed and sent, where there is a receipt and it was to be kept.
    """

    target: Target
    timing: StreamTiming = field(default_factory=StreamTiming)
    status: int | None = None
    message: str = ""
    receipt: str = ""
    saved: SavedReply | None = None

    @property
    def is_good(self) -> bool:
        """Whether the reply came whole."""
        return self.status == 200

    @property
    def state(self) -> str:
        """`connecting`, `waiting`, `answering`, or the status and its sentence."""
        if self.status is not None:
            return f"{self.status} {self.message}"
        if self.timing.first_byte_s is not None:
            return "answering"
        return "connecting" if self.timing.sent_s is None else "waiting"

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens by the time from call to last byte; None without any."""
        timing = self.timing
        if not timing.last_byte_s or timing.tokens is None:
            return None
        return timing.tokens / timing.last_byte_s
