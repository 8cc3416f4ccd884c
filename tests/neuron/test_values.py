from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from node.neuron.values import (
    CommaList,
    RouteCapacity,
    at_least,
    ending_in,
    fraction,
    ip_address,
    named,
    nearest,
    netuid,
    parse_switch,
    port,
    route_capacity,
    seconds,
    text,
)

GOOD: list[tuple[Callable[[str], Any], str, Any]] = [
    (port, "0", 0),
    (port, "65535", 65535),
    (port, " 8091 ", 8091),
    (ending_in(".png", ".svg"), "a.b/c.SVG", "a.b/c.SVG"),
    (netuid, "0", 0),
    (at_least(1), "1", 1),
    (at_least(0), "0", 0),
    (seconds(), "0.001", 0.001),
    (seconds(zero=True), "0", 0.0),
    (fraction, "1", 1.0),
    (ip_address, "0.0.0.0", "0.0.0.0"),
    (ip_address, "::1", "::1"),
    (text, "007", "007"),
    (route_capacity, " Words = 4 ", RouteCapacity("Words", 4)),
    (named("echo", "other"), "echo", "echo"),
    (parse_switch, "True", True),
    (parse_switch, "no", False),
    (CommaList(at_least(0)), "0,1, 2", (0, 1, 2)),
    (CommaList(text), "a", ("a",)),
]
BAD: list[tuple[Callable[[str], Any], str, str]] = [
    (port, "65536", "must be a port from 0 to 65535, not '65536'"),
    (port, "-1", "must be a port"),
    (port, "80.0", "must be a port"),
    (port, "8_091", "must be a port"),
    (port, "٨", "must be a port"),
    (port, "9" * 5000, "must be a port"),
    (netuid, "65536", "must be a subnet number from 0 to 65535"),
    (at_least(1), "0", "must be a whole number of 1 or more, not '0'"),
    (at_least(1), "", "must be a whole number"),
    (seconds(), "0", "must be a number above 0 and at most"),
    (seconds(zero=True), "-0.1", "must be a number of 0 or more and at most"),
    (seconds(), "nan", "must be a number"),
    (seconds(), "inf", "must be a number"),
    (seconds(), "1e99", "must be a number"),
    (fraction, "1.5", "must be a number above 0 and at most 1, not '1.5'"),
    (ip_address, "localhost", "must be an IP address such as 127.0.0.1, not 'localhost'"),
    (ip_address, "1.2.3", "must be an IP address"),
    (text, "", "must not be empty"),
    (text, "  ", "must not be empty"),
    (named("echo", "other"), "ecco", "must be one of echo, other, not 'ecco'; did you mean echo?"),
    (parse_switch, "maybe", "must be true or false, not 'maybe'"),
    (parse_switch, "", "must be true or false"),
    (CommaList(at_least(0)), "0,x", "must be a whole number"),
    (CommaList(at_least(0)), ",", "needs at least 1"),
    (ending_in(".png", ".svg"), "x.gif", "must be a file that ends in .png or .svg, not 'x.gif'"),
    (ending_in(".png", ".svg"), ".png", "must be a file that ends in"),
    (ending_in(".png", ".svg"), "folder/.png", "must be a file that ends in"),
    (ending_in(".png", ".svg"), "png", "must be a file that ends in"),
]


@pytest.mark.parametrize(("check", "written", "value"), GOOD)
def test_a_good_text_gives_its_value(check: Callable[[str], Any], written: str, value: Any) -> None:
    found = check(written)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("check", "written", "reason"), BAD)
def test_a_bad_text_is_refused_in_words(
    check: Callable[[str], Any], written: str, reason: str
) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        check(written)
    assert str(caught.value).startswith(reason)


def test_nearest_names_the_most_similar_and_nothing_for_a_stranger() -> None:
    names = ["axon.port", "axon.ip", "wallet.name"]
    assert nearest("axon.prot", names) == "; did you mean axon.port?"
    assert nearest("zzz", names) == ""
