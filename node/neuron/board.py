"""What a validator tells while it works: the board that a terminal draws, or nobody reads."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol, Self

from .terminal_text import one_line

__all__ = ["Board", "LogBoard", "QuietBoard", "Tally", "counted"]

logger = logging.getLogger(__name__)


class Board(Protocol):
    """Is told of each step as it goes, inside a `with` block. No call blocks or raises.

    The calls of one step are `begin_step`, `synced`, then `asked`, `replied` and `judged` any
    number of times, and `end_step`. `weights_set` may come between any two. All come from one
    thread.
    """

    def begin_step(self, step: int) -> None:
        """A step began.

        Args:
            step: Its number.
        """

    def synced(self, block: int, weights_block: int | None = None) -> None:
        """The network was read, or what is known of it still holds.

        Args:
            block: Its block.
            weights_block: The block from which on weights may be set; None when they are not set.
        """

    def asked(self, peers: Sequence[tuple[int, str]]) -> None:
        """Requests went out.

        Args:
            peers: Uid and hotkey of each.
        """

    def replied(self, uid: int) -> None:
        """A reply ended: whole, broken off, or never begun."""

    def judged(
        self,
        uid: int,
        reward: float,
        reason: str,
        first_byte_s: float | None = None,
        tokens_per_s: float | None = None,
    ) -> None:
        """A reply was judged.

        Args:
            uid: Whose.
            reward: 0 to 1.
            reason: `ok`, or why it earned nothing.
            first_byte_s: Seconds to its first byte.
            tokens_per_s: Its rate.
        """

    def end_step(
        self, step: int, note: str = "", scores: Iterable[tuple[int, str, float]] = ()
    ) -> None:
        """The step was saved.

        Args:
            step: Its number.
            note: What an operator should know of it, or "".
            scores: Uid, hotkey and score of each peer that has one.
        """

    def weights_set(self, block: int) -> None:
        """The network took weights at this block."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...


@dataclass(slots=True)
class Tally:
    """What one step has come to so far.

    Attributes:
        step: Its number.
        asked: Requests that went out.
        replied: Replies that ended, in whatever way.
        reasons: How often each reason was given.
        rewards: Sum of the rewards.
        first_bytes_s: Seconds to the first byte, of those that had one.
    """

    step: int
    asked: int = 0
    replied: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rewards: float = 0.0
    first_bytes_s: list[float] = field(default_factory=list)

    def judge(self, reward: float, reason: str, first_byte_s: float | None) -> None:
        """Counts one verdict."""
        self.reasons[str(reason)] += 1
        self.rewards += reward
        if first_byte_s is not None:
            self.first_bytes_s.append(first_byte_s)

    @property
    def judged(self) -> int:
        """Verdicts so far."""
        return self.reasons.total()

    @property
    def mean_reward(self) -> float | None:
        """Of all verdicts; None before the first."""
        return self.rewards / self.judged if self.judged else None

    @property
    def median_first_byte_s(self) -> float | None:
        """None while nobody sent a byte."""
        return median(self.first_bytes_s) if self.first_bytes_s else None


def counted(reasons: Counter[str]) -> str:
    """Returns reasons and how often each came, as `ok 40, unreachable 4`; `ok` first."""
    order = sorted(reasons.items(), key=lambda item: (item[0] != "ok", -item[1], item[0]))
    return ", ".join(f"{one_line(reason)} {count}" for reason, count in order)


class QuietBoard:
    """A board that nobody reads."""

    def begin_step(self, step: int) -> None:
        """As `Board.begin_step`."""

    def synced(self, block: int, weights_block: int | None = None) -> None:
        """As `Board.synced`."""

    def asked(self, peers: Sequence[tuple[int, str]]) -> None:
        """As `Board.asked`."""

    def replied(self, uid: int) -> None:
        """As `Board.replied`."""

    def judged(
        self,
        uid: int,
        reward: float,
        reason: str,
        first_byte_s: float | None = None,
        tokens_per_s: float | None = None,
    ) -> None:
        """As `Board.judged`."""

    def end_step(
        self, step: int, note: str = "", scores: Iterable[tuple[int, str, float]] = ()
    ) -> None:
        """As `Board.end_step`."""

    def weights_set(self, block: int) -> None:
        """As `Board.weights_set`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass


class LogBoard(QuietBoard):
    """A line in the log for each step that judged anybody: the reasons, and how quick peers were.

    What the validator itself logs of a step, its number of answers and its note, is not repeated.
    """

    def __init__(self) -> None:
        self._tally: Tally | None = None

    def begin_step(self, step: int) -> None:
        """As `Board.begin_step`."""
        self._tally = Tally(step)

    def judged(
        self,
        uid: int,
        reward: float,
        reason: str,
        first_byte_s: float | None = None,
        tokens_per_s: float | None = None,
    ) -> None:
        """As `Board.judged`."""
        if self._tally is not None:
            self._tally.judge(reward, reason, first_byte_s)

    def end_step(
        self, step: int, note: str = "", scores: Iterable[tuple[int, str, float]] = ()
    ) -> None:
        """As `Board.end_step`."""
        tally, self._tally = self._tally, None
        if tally is None or tally.mean_reward is None:
            return
        first = tally.median_first_byte_s
        logger.info(
            "step %d: mean reward %.3f, median first byte %s; %s",
            step, tally.mean_reward, "-" if first is None else f"{first * 1000:.0f} ms",
            counted(tally.reasons),
        )  # fmt: skip
