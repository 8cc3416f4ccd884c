"""Numbers that come from outside, and whether they are numbers at all."""

from __future__ import annotations

import math
from numbers import Real

from .reasons import Reason

__all__ = ["checked_reward", "finite"]


def finite(value: object) -> float | None:
    """The value as a float, or None where it is not a finite number.

    Takes what counts as a real number, NumPy's scalars too. True and False are no numbers, nor is
    a text, nor an integer that is too large for a float. Never raises.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except Exception:  # noqa: BLE001 - border: a class of the caller's may raise anything
        return None
    return number if math.isfinite(number) else None


def checked_reward(value: object, *, most: float = 1.0) -> tuple[float, Reason]:
    """A reward that a scoring function returned, as a number that can be averaged.

    Args:
        value: Whatever it returned.
        most: The largest reward there is.

    Returns:
        The reward and `OK`; or 0.0 and the reason: `NOT_FINITE` for what is no finite number,
        `OUT_OF_RANGE` for what is below 0 or above `most`.
    """
    reward = finite(value)
    if reward is None:
        return 0.0, Reason.NOT_FINITE
    if not 0.0 <= reward <= most:
        return 0.0, Reason.OUT_OF_RANGE
    return reward, Reason.OK
