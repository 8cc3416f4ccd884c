"""What a first byte is worth, by when it came."""

from __future__ import annotations

from dataclasses import dataclass

from node import errors

from .measured import finite

__all__ = ["LatencyCurve"]


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Full credit up to one latency, none from another, a straight line between.

    The defaults are those of a language-model subnet (DEMAND.md, numbers of a real subnet).

    Args:
        full_s: Seconds to the first byte up to which the credit is 1.
        zero_s: Seconds from which it is 0; the same as `full_s` makes a step.

    Raises:
        errors.ConfigError: A limit is not a number from 0, or `zero_s` is below `full_s`.
    """

    full_s: float = 0.5
    zero_s: float = 1.5

    def __post_init__(self) -> None:
        for name in ("full_s", "zero_s"):
            seconds = finite(getattr(self, name))
            if seconds is None or seconds < 0:
                raise errors.ConfigError(
                    f"{name} of a latency curve is a number of seconds from 0, "
                    f"not {getattr(self, name)!r}"
                )
        if self.zero_s < self.full_s:
            raise errors.ConfigError(
                f"a latency curve gives nothing from zero_s={self.zero_s:g}, which must not be "
                f"below full_s={self.full_s:g}"
            )

    def __call__(self, first_byte_s: float | None) -> float:
        """The credit, 0 to 1; 0 for None and for what is no finite number from 0."""
        seconds = finite(first_byte_s)
        if seconds is None or seconds < 0:
            return 0.0
        if seconds <= self.full_s:
            return 1.0
        if seconds >= self.zero_s:
            return 0.0
        return (self.zero_s - seconds) / (self.zero_s - self.full_s)
