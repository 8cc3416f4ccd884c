"""Why does nobody call? Checks of one neuron, before it is launched and while it runs.

`examination` says what is checked and in which order; each of the other modules has a few checks.
A check returns a `Finding` and changes nothing: no file, no record, no registration.
"""

from __future__ import annotations

from .examination import CHECKS, examine
from .finding import Diagnosis, Finding, Verdict
from .key_check import Key, check_wallet

__all__ = ["CHECKS", "Diagnosis", "Finding", "Key", "Verdict", "check_wallet", "examine"]
