"""Prompts that nobody can have prepared an answer to."""

from __future__ import annotations

from random import Random

__all__ = ["random_prompt"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOWELS = "aeiou"
_MIN_TOKENS, _MAX_TOKENS = 16, 64
# Now and then something that is easy to break on its way: an accent, wide signs, an emoji.
_HARD = ("é", "日本語", "🚀", "naïve", "-", "…")
_HARD_SHARE = 0.05


def random_prompt(rng: Random, *, low: int = _MIN_TOKENS, high: int = _MAX_TOKENS) -> str:
    """Random words, from `low` to `high` of them.

    Args:
        rng: The source of chance; one that peers can't guess, such as `random.SystemRandom`.
        low: Fewest words.
        high: Most words.
    """
    return " ".join(_word(rng) for _ in range(rng.randint(low, high)))


def _word(rng: Random) -> str:
    if rng.random() < _HARD_SHARE:
        return rng.choice(_HARD)
    return "".join(rng.choice(_LETTERS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 4)))
