"""What workers ask the guard of their host, and its answers: records of one length, in order.

A question is one byte of kind, the SHA-256 of what it is about, and two numbers. An answer is one
number. Answers come in the order of the questions, so neither has a name. Any number may be under
way, and any number may come in one read.

Rule: no I/O and no clock.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from enum import IntEnum

from .once import OnceMemory, Verdict

__all__ = ["ANSWER", "Answering", "Kind", "ask_entry", "ask_token", "read_verdict", "say_ready"]

_QUESTION = struct.Struct(">B32sdd")
ANSWER = struct.Struct(">d")

_VERDICTS = {Verdict.TAKEN: 1.0, Verdict.KNOWN: 0.0, Verdict.FULL: -1.0}
_MEANINGS = {number: verdict for verdict, number in _VERDICTS.items()}


class Kind(IntEnum):
    """What a question is."""

    ACCEPT = 1
    TOKEN = 2
    READY = 3


def ask_entry(entry: bytes, keep_s: float) -> bytes:
    """Return the question whether an entry is new, which takes it."""
    return _QUESTION.pack(Kind.ACCEPT, hashlib.sha256(entry).digest(), keep_s, 0.0)


def ask_token(key: bytes, per_second: float, burst: float) -> bytes:
    """Return the question for a token of a bucket."""
    return _QUESTION.pack(Kind.TOKEN, hashlib.sha256(key).digest(), per_second, burst)


def say_ready() -> bytes:
    """Return what a worker says once it serves; it is answered too."""
    return _QUESTION.pack(Kind.READY, b"", 0.0, 0.0)


def read_verdict(answer: float) -> Verdict:
    """Return what an answer to `ask_entry` means.

    Raises:
        KeyError: It is none.
    """
    return _MEANINGS[answer]


class Answering:
    """The guard's side of one connection: bytes of questions in, bytes of answers out.

    Args:
        memory: What is asked; that of all connections.
        ready: Called when the worker says that it serves.
    """

    def __init__(self, memory: OnceMemory, ready: Callable[[], None]) -> None:
        self._memory = memory
        self._ready = ready
        self._rest = b""

    def feed(self, data: bytes, now_s: float) -> bytes:
        """Return the answers to the questions that `data` completes, in order.

        Raises:
            ValueError: A question is of no known kind.
        """
        data = self._rest + data
        whole = len(data) - len(data) % _QUESTION.size
        self._rest = data[whole:]
        questions = _QUESTION.iter_unpack(data[:whole])
        return b"".join([ANSWER.pack(self._answer(now_s, *question)) for question in questions])

    def _answer(self, now_s: float, kind: int, key: bytes, first: float, second: float) -> float:
        if kind == Kind.ACCEPT:
            return _VERDICTS[self._memory.accept(key, keep_s=first, now_s=now_s)]
        if kind == Kind.TOKEN:
            return self._memory.take_token(key, per_second=first, burst=second, now_s=now_s)
        if kind == Kind.READY:
            self._ready()
            return 0.0
        raise ValueError(f"a worker asked a question of the unknown kind {kind}")
