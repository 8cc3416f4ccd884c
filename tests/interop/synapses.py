"""The routes of `peers/synapses.py` as a node's user writes them: same names, same fields."""

from __future__ import annotations

from typing import ClassVar

from node import Synapse, TextStream

__all__ = [
    "HASHED",
    "HASHED_ANSWER",
    "Broken",
    "Exact",
    "Faulty",
    "Hashed",
    "Liar",
    "Missing",
    "Plain",
    "Slow",
    "Stalling",
    "Tokens",
    "Who",
    "hashed_answer",
]


class Hashed(Synapse):
    """Unary; what it asks is covered by the signature of every protocol."""

    text: str
    words: list[str]
    temperature: float = 0.5
    answer: str = ""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("text", "words", "temperature")


class Plain(Synapse):
    """Unary; no field is hashed."""

    text: str
    answer: str = ""


class Who(Synapse):
    """Asks whom the forward takes its caller to be."""

    caller: str = ""


class Liar(Synapse):
    """Answered, by an old axon, with other inputs and identities than were sent."""

    text: str
    answer: str = ""


class Faulty(Synapse):
    """The forward raises."""

    text: str = ""


class Slow(Synapse):
    """The forward sleeps."""

    seconds: float = 1.0
    answer: str = ""


class Missing(Synapse):
    """No axon serves it."""

    text: str = ""


class Tokens(TextStream):
    """Streams the words of its prompt."""

    prompt: str

    required_hash_fields: ClassVar[tuple[str, ...]] = ("prompt",)


class Exact(Tokens):
    """Read, by an old dendrite, with a hook that takes headers for granted."""


class Broken(Tokens):
    """The forward raises after two chunks."""


class Stalling(Tokens):
    """The forward sends one chunk and then nothing."""


# Quotes, an accent and an integer for a float: `str()` of each is part of the hash (WIRE.md §2.3).
HASHED = {"text": "it's", "words": ['say "hi"', "naïve ✓"], "temperature": 7}
HASHED_ANSWER = 'it\'s|say "hi"/naïve ✓|7.0'


def hashed_answer(synapse: Hashed) -> str:
    """Return what the forward of `Hashed` answers, here and in `peers/old_axon.py`."""
    return f"{synapse.text}|{'/'.join(synapse.words)}|{synapse.temperature}"
