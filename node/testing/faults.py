"""The faults by name, and how a test says which peers have which."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from node.errors import ConfigError

from .answer_faults import Buffering, Crashing, Flooding, SlowFirstByte, Truncating
from .behaviour import Behaviour
from .connection_faults import ByteSplitting, Dead, Dripping, Garbage, Refusing, Silent
from .lying_faults import LyingAboutTokens, WrongAnswer, WrongReceipt

__all__ = ["FAULTS", "Fault", "FaultyPeers", "read_faults", "spread_faults"]

FAULTS: Mapping[str, type[Behaviour]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Dead,
            Silent,
            Refusing,
            SlowFirstByte,
            Dripping,
            ByteSplitting,
            Truncating,
            LyingAboutTokens,
            Buffering,
            WrongReceipt,
            Flooding,
            WrongAnswer,
            Garbage,
            Crashing,
        )
    }
)
"""Every fault by its name; the class says in its docstring what it does, with which options."""


@dataclass(frozen=True, init=False)
class Fault:
    """One of `FAULTS`, with options: `Fault("slow_first_byte", delay_s=0.5)`.

    Args:
        name: Which.
        options: The fields of its class.

    Attributes:
        name: As given.
        behaviour: What does it.

    Raises:
        ConfigError: There is no such fault or option, or a value is out of range; the text has
            the nearest good name.
    """

    name: str
    behaviour: Behaviour

    def __init__(self, name: str, /, **options: Any) -> None:
        kind = FAULTS.get(name)
        if kind is None:
            raise ConfigError(f"there is no fault {name!r}{_nearest(name, FAULTS)}")
        known = [option.name for option in fields(kind)]
        for option in options:
            if option not in known:
                raise ConfigError(
                    f"the fault {name} has no option {option!r}{_nearest(option, known)}"
                )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "behaviour", kind(**options))


AnyFault = str | Fault | Behaviour
FaultyPeers = int | Mapping[Any, int] | Iterable[AnyFault]


def read_faults(faulty: FaultyPeers) -> list[Behaviour]:
    """Return a behaviour for every faulty peer.

    Args:
        faulty: As for `TestNetwork`.

    Raises:
        ConfigError: A fault is unknown, or a number of peers is not 0 or more.
    """
    if isinstance(faulty, str | Fault | Behaviour):
        return [_behaviour_of(faulty)]
    if isinstance(faulty, int):
        faulty = spread_faults(faulty)
    if not isinstance(faulty, Mapping):
        return [_behaviour_of(fault) for fault in faulty]
    found: list[Behaviour] = []
    for fault, count in faulty.items():
        behaviour = _behaviour_of(fault)
        if type(count) is not int or count < 0:
            raise ConfigError(f"the number of {behaviour.name} peers is 0 or more, not {count!r}")
        found += [behaviour] * count
    return found


def spread_faults(count: int) -> dict[str, int]:
    """Return how many peers to give each fault so that all are met, as evenly as may be.

    Harmless faults are left out: a peer that has one is as good as an honest one.

    Args:
        count: Peers in all; the first faults get those that are over.

    Raises:
        ConfigError: `count` is below 0.
    """
    if type(count) is not int or count < 0:
        raise ConfigError(f"the number of faulty peers is 0 or more, not {count!r}")
    harmful = [name for name, kind in FAULTS.items() if not kind.is_harmless]
    spread: dict[str, int] = {}
    for name in itertools.islice(itertools.cycle(harmful), count):
        spread[name] = spread.get(name, 0) + 1
    return spread


def _behaviour_of(fault: object) -> Behaviour:
    if isinstance(fault, Behaviour):
        return fault
    if isinstance(fault, Fault):
        return fault.behaviour
    if isinstance(fault, str):
        return Fault(fault).behaviour
    raise ConfigError(
        f"{fault!r} is no fault; give a name of FAULTS, a Fault, or a Behaviour of your own"
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(names)}" if names else "; it has none"
