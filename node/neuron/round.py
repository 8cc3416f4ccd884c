"""One step of a validator as it goes: whom it asked, and what each reply was worth."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from .reply import Reply, Verdict
from .scoring import Reason
from .state import Event

__all__ = ["Round"]


@dataclass(slots=True)
class Round:
    """What one step collects before it is saved.

    Attributes:
        step: The number of the step.
        asked: Requests that were sent.
        answered: Replies that came whole.
        events: One for each verdict.
        notes: What else an operator should know of the step, in a few words each.
    """

    step: int
    asked: int = 0
    answered: int = 0
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, reply: Reply, verdict: Verdict) -> Event:
        """Record the verdict on a reply."""
        self.answered += reply.is_complete
        timing = reply.timing
        tokens = reply.count_tokens()
        event = Event(
            step=self.step,
            uid=reply.uid,
            hotkey=reply.peer.hotkey,
            reward=verdict.reward,
            reason=str(verdict.reason),
            status=reply.status,
            first_byte_s=reply.first_byte_s,
            total_s=reply.total_s,
            tokens=tokens,
            chunks=timing.chunks if timing else 0,
            bytes=timing.bytes if timing else 0,
            tokens_per_s=_rate(tokens, reply),
        )
        self.events.append(event)
        return event

    def add_absent(self, uid: int, hotkey: str, reason: Reason) -> None:
        """Record a peer that would have been asked and could not be."""
        self.events.append(
            Event(
                step=self.step,
                uid=uid,
                hotkey=hotkey,
                reward=0.0,
                reason=str(reason),
                status=503,
                first_byte_s=None,
                total_s=None,
                tokens=None,
                chunks=0,
                bytes=0,
                tokens_per_s=None,
            )
        )

    def rewards(self) -> dict[str, float]:
        """Mean reward by hotkey: a peer may have been asked several times in one step."""
        earned: defaultdict[str, list[float]] = defaultdict(list)
        for event in self.events:
            earned[event.hotkey].append(event.reward)
        return {hotkey: sum(rewards) / len(rewards) for hotkey, rewards in earned.items()}


def _rate(tokens: int | None, reply: Reply) -> float | None:
    """Tokens a second between the first and the last byte, None where that says nothing."""
    timing = reply.timing
    if not tokens or timing is None or timing.first_byte_s is None or timing.last_byte_s is None:
        return None
    seconds = timing.last_byte_s - timing.first_byte_s
    return tokens / seconds if seconds > 0 else None
