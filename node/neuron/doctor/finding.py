"""What a check found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Diagnosis", "Finding", "Verdict"]


class Verdict(StrEnum):
    """How a check ended. Only `FAIL` means that something has to be done."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    """It could not be made, or there was nothing to check; the finding says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result.

    Attributes:
        check: Which one, of `CHECKS`.
        verdict: How it ended.
        found: What was found, a sentence without its full stop. It may quote what peers said.
        advice: What to do, likewise; "" where there is nothing to do.
    """

    check: str
    verdict: Verdict
    found: str
    advice: str = ""

    @classmethod
    def ok(cls, check: str, found: str) -> Finding:
        """What was checked is as it should be."""
        return cls(check, Verdict.OK, found)

    @classmethod
    def warn(cls, check: str, found: str, advice: str) -> Finding:
        """It will do, or may; somebody should look at it."""
        return cls(check, Verdict.WARN, found, advice)

    @classmethod
    def fail(cls, check: str, found: str, advice: str) -> Finding:
        """It keeps the neuron from being called or from asking."""
        return cls(check, Verdict.FAIL, found, advice)

    @classmethod
    def skip(cls, check: str, found: str) -> Finding:
        """It was not checked."""
        return cls(check, Verdict.SKIP, found)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found, in the order of `CHECKS`."""

    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Iterable[Finding], order: Iterable[str]) -> Diagnosis:
        """Put findings in order.

        Args:
            findings: One for each check, in any order.
            order: Names of checks.
        """
        places = {name: place for place, name in enumerate(order)}
        return cls(tuple(sorted(findings, key=lambda finding: places[finding.check])))

    @property
    def failed(self) -> bool:
        """Whether a check failed."""
        return any(finding.verdict is Verdict.FAIL for finding in self.findings)

    def count(self, verdict: Verdict) -> int:
        """How many checks ended so."""
        return sum(finding.verdict is verdict for finding in self.findings)

    def to_mapping(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "ok": not self.failed,
            "checks": [
                {
                    "check": finding.check,
                    "verdict": str(finding.verdict),
                    "found": finding.found,
                    "advice": finding.advice,
                }
                for finding in self.findings
            ],
        }
