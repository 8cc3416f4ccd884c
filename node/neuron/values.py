"""What the text of a flag, environment variable or profile key may be.

Rule 1: a checker takes text and returns the value, or raises `argparse.ArgumentTypeError` with the
rest of a sentence that starts with the flag's name ("must be a port from 0 to 65535, not 99999").
Rule 2: a checker reads nothing but its text: no file, no environment, no clock.
"""

from __future__ import annotations

import argparse
import ipaddress
import math
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import PurePath
from typing import NamedTuple

__all__ = [
    "CommaList",
    "RouteCapacity",
    "at_least",
    "ending_in",
    "fraction",
    "ip_address",
    "named",
    "nearest",
    "netuid",
    "number",
    "parse_switch",
    "port",
    "route_capacity",
    "seconds",
    "text",
    "whole",
]

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_SWITCH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def nearest(name: str, names: Iterable[object]) -> str:
    """Returns "; did you mean X?" for the known name that is most like `name`, or "".

    Args:
        name: What was written.
        names: The names that would have been right.
    """
    found = get_close_matches(name, sorted({str(known) for known in names}), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def parse_switch(value: str) -> bool:
    """Reads true, yes, 1 or false, no, 0, in any case.

    Raises:
        argparse.ArgumentTypeError: The text is none of them.
    """
    try:
        return _SWITCH[value.strip().lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"must be true or false, not {value!r}") from None


def text(value: str) -> str:
    """Takes any text but an empty or blank one."""
    if not value.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return value


def whole(value: str, *, low: int, high: int | None = None, what: str = "a whole number") -> int:
    """Reads a decimal whole number from `low` to `high`, both allowed.

    Raises:
        argparse.ArgumentTypeError: Not such a number.
    """
    limits = f"from {low} to {high}" if high is not None else f"of {low} or more"
    if _WHOLE.fullmatch(value.strip()):
        found = int(value)
        if low <= found and (high is None or found <= high):
            return found
    raise argparse.ArgumentTypeError(f"must be {what} {limits}, not {value!r}")


def port(value: str) -> int:
    """Reads a TCP port; 0 means any free one."""
    return whole(value, low=0, high=65535, what="a port")


def netuid(value: str) -> int:
    """Reads a subnet's number."""
    return whole(value, low=0, high=65535, what="a subnet number")


def at_least(low: int) -> Callable[[str], int]:
    """Returns a checker for whole numbers of `low` or more."""

    def count(value: str) -> int:
        return whole(value, low=low)

    return count


def number(value: str, *, low: float, above: bool = False, high: float = math.inf) -> float:
    """Reads a finite decimal number.

    Args:
        value: The text.
        low: The least value allowed, or with `above` the greatest that is not.
        above: Whether `low` itself is refused.
        high: The greatest value allowed.

    Raises:
        argparse.ArgumentTypeError: Not such a number.
    """
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if math.isfinite(found) and (found > low if above else found >= low) and found <= high:
        return found
    limits = f"above {low:g}" if above else f"of {low:g} or more"
    if high < math.inf:
        limits += f" and at most {high:g}"
    raise argparse.ArgumentTypeError(f"must be a number {limits}, not {value!r}")


def seconds(*, zero: bool = False) -> Callable[[str], float]:
    """Returns a checker for seconds, above 0 unless `zero` is allowed, and at most a year."""

    def duration_s(value: str) -> float:
        return number(value, low=0.0, above=not zero, high=365 * 86400.0)

    return duration_s


def fraction(value: str) -> float:
    """Reads a number above 0 and at most 1."""
    return number(value, low=0.0, above=True, high=1.0)


def ip_address(value: str) -> str:
    """Reads a literal IPv4 or IPv6 address; names are not looked up."""
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be an IP address such as 127.0.0.1, not {value!r}"
        ) from None


def named(*names: str) -> Callable[[str], str]:
    """Returns a checker for one of a few names; the error has the nearest."""

    def name(value: str) -> str:
        if value in names:
            return value
        known = ", ".join(names)
        raise argparse.ArgumentTypeError(
            f"must be one of {known}, not {value!r}{nearest(value, names)}"
        )

    return name


class RouteCapacity(NamedTuple):
    """How many requests of a route are answered at once."""

    route: str
    capacity: int

    def __str__(self) -> str:
        """As `route_capacity` reads it."""
        return f"{self.route}={self.capacity}"


def route_capacity(value: str) -> RouteCapacity:
    """Reads ROUTE=N; whether there is such a route is not known here."""
    route, equals, count = (part.strip() for part in value.partition("="))
    if not equals or not route.isidentifier():
        raise argparse.ArgumentTypeError(
            f"must be a route and a number, such as StreamPrompting=4, not {value!r}"
        )
    return RouteCapacity(route, whole(count, low=1))


def ending_in(*suffixes: str) -> Callable[[str], str]:
    """Returns a checker for names of files of a few kinds, by their suffix in any case."""

    def file_name(value: str) -> str:
        if PurePath(value).suffix.lower() in suffixes:
            return value
        raise argparse.ArgumentTypeError(
            f"must be a file that ends in {' or '.join(suffixes)}, not {value!r}"
        )

    return file_name


class CommaList:
    """A checker for items with commas between them; in a profile a YAML list does as well.

    Args:
        item: The checker of one item.
        least: How many items there must be.
    """

    def __init__(self, item: Callable[[str], object], *, least: int = 1) -> None:
        self._item = item
        self._least = least

    def __call__(self, value: str) -> tuple[object, ...]:
        """Reads the items, in order.

        Raises:
            argparse.ArgumentTypeError: An item is wrong, or there are too few.
        """
        items = tuple(self._item(part.strip()) for part in value.split(",") if part.strip())
        if len(items) < self._least:
            raise argparse.ArgumentTypeError(f"needs at least {self._least}, with commas between")
        return items

    def __repr__(self) -> str:
        return f"CommaList({getattr(self._item, '__name__', self._item)})"
