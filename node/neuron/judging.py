"""Turning replies into verdicts, so that no reply and no reward function can stop a step."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .reply import Reply, Verdict
from .scoring import LatencyCurve, Reason, checked_reward, reason_of

__all__ = ["Judge", "graded"]

logger = logging.getLogger(__name__)

_WORD = re.compile(r"[a-z0-9_]{1,40}")
_WORKERS = 4


def graded(
    reply: Reply, correctness: float, *, curve: LatencyCurve, needs_receipt: bool = True
) -> Verdict:
    """Correctness times the credit for the first byte, and nothing without a valid receipt.

    Args:
        reply: A complete reply.
        correctness: 0 to 1.
        curve: The credit by seconds to the first byte.
        needs_receipt: Whether a reply that its peer did not sign is worth nothing.
    """
    if needs_receipt and reply.receipt is None:
        return Verdict(0.0, Reason.NO_RECEIPT)
    reward, reason = checked_reward(correctness)
    if reason is not Reason.OK:
        return Verdict(0.0, reason)
    if reward == 0.0:
        return Verdict(0.0, Reason.WRONG_ANSWER if reply.text else Reason.EMPTY)
    credit = curve(reply.first_byte_s)
    return Verdict(reward * credit, Reason.OK if credit > 0 else Reason.TOO_SLOW)


class Judge:
    """Runs a reward function over replies.

    A sync function runs in a worker thread, so that a slow one does not hold up the event loop,
    though one that holds the interpreter itself still does. One that takes too long is left behind
    and its reply gets nothing. `close` when done.

    Args:
        timeout_s: Seconds that one judgement may take.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="reward")

    def close(self) -> None:
        """Let go of the threads; one that hangs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def judge(self, reply: Reply, reward: Callable[..., Any], **context: Any) -> Verdict:
        """The verdict on one reply. A failed one is worth 0 and never reaches the function.

        Args:
            reply: The reply.
            reward: Takes the reply and the context; returns a number from 0 to 1, a pair of one
                and a word, or a `Verdict`. May be async.
            context: Passed on by name.
        """
        if reply.error is not None:
            return Verdict(0.0, reason_of(reply.error))
        if reply.too_long:
            return Verdict(0.0, Reason.TOO_LONG)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._run(reward, reply, context)
        except TimeoutError:
            return Verdict(0.0, Reason.REWARD_TIMEOUT)
        except Exception:
            # A reply that the function did not expect, or a fault in it: the log tells them apart.
            logger.exception("the reward of uid %d's reply could not be worked out", reply.uid)
            return Verdict(0.0, Reason.REWARD_ERROR)
        return _verdict(answer)

    async def _run(self, reward: Callable[..., Any], reply: Reply, context: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(reward):
            return await reward(reply, **context)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._pool, lambda: reward(reply, **context))
        return await answer if isinstance(answer, Awaitable) else answer


def _verdict(answer: Any) -> Verdict:
    word = ""
    if isinstance(answer, Verdict):
        answer, word = answer.reward, str(answer.reason)
    elif isinstance(answer, tuple) and len(answer) == 2:
        answer, word = answer[0], str(answer[1])
    reward, reason = checked_reward(answer)
    if reason is not Reason.OK:
        return Verdict(0.0, reason)
    if _WORD.fullmatch(word) and (word != Reason.OK or reward > 0):
        return Verdict(reward, word)
    # A zero without a reason would be a riddle: the function judged the answer to be worth nothing.
    return Verdict(reward, Reason.OK if reward > 0 else Reason.WRONG_ANSWER)
