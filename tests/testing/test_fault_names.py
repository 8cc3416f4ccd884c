"""Saying which peers have which faults, and what is told to who says it wrong."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from node.errors import ConfigError
from node.testing import FAULTS, Behaviour, Fault, TestNetwork, spread_faults
from node.testing.faults import read_faults

NAMES = {
    "dead", "silent", "refusing", "slow_first_byte", "dripping", "byte_splitting", "truncating",
    "lying_about_tokens", "buffering", "wrong_receipt", "flooding", "wrong_answer", "garbage",
    "crashing",
}  # fmt: skip


@dataclass(frozen=True)
class Rude(Behaviour):
    """A fault of a user's own."""

    name = "rude"


def names(behaviours: list[Behaviour]) -> list[str]:
    return [behaviour.name for behaviour in behaviours]


def test_every_fault_has_a_name_and_says_what_it_does() -> None:
    assert set(FAULTS) == NAMES
    for name, kind in FAULTS.items():
        assert kind.name == name
        assert kind().name == name
        assert kind.__doc__
        assert not kind.__doc__.startswith(f"{kind.__name__}("), "the docstring is its own"


def test_the_page_names_every_fault_with_its_options_and_their_defaults() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "testing.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|([^|]*)\|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == list(FAULTS)
    for name, options in rows:
        shown = dict(re.findall(r"`(\w+)=([^`]+)`", options))
        meant = {
            option.name: getattr(FAULTS[name](), option.name) for option in fields(FAULTS[name])
        }
        assert {key: ast.literal_eval(value) for key, value in shown.items()} == meant


def test_only_byte_splitting_is_harmless() -> None:
    assert [name for name, kind in FAULTS.items() if kind.is_harmless] == ["byte_splitting"]


@pytest.mark.parametrize(
    ("faulty", "found"),
    [
        ((), []),
        ({"dead": 1, "dripping": 2}, ["dead", "dripping", "dripping"]),
        (["dead", Fault("silent"), Rude()], ["dead", "silent", "rude"]),
        ({Fault("dripping", pause_s=1): 2, Rude(): 1, "dead": 0}, ["dripping", "dripping", "rude"]),
        ("dead", ["dead"]),
        (Rude(), ["rude"]),
        (3, ["dead", "silent", "refusing"]),
    ],
)
def test_faulty_peers_are_said_in_any_of_these_ways(faulty: Any, found: list[str]) -> None:
    assert names(read_faults(faulty)) == found


def test_two_faults_of_one_name_and_options_are_equal() -> None:
    assert Fault("dripping", pause_s=1.0) == Fault("dripping", pause_s=1.0)
    assert Fault("dripping", pause_s=1.0) != Fault("dripping")
    assert len({Fault("dead"), Fault("dead")}) == 1


def test_spreading_meets_every_harmful_fault_as_evenly_as_may_be() -> None:
    assert spread_faults(0) == {}
    sixteen = spread_faults(16)
    assert sum(sixteen.values()) == 16
    assert set(sixteen) == NAMES - {"byte_splitting"}
    assert set(sixteen.values()) == {1, 2}


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("driping", {}, "no fault 'driping'; did you mean dripping?"),
        ("slow", {}, "no fault 'slow'; there are buffering, byte_splitting,"),
        ("slow_first_byte", {"delay": 1}, "no option 'delay'; did you mean delay_s?"),
        ("dead", {"delay_s": 1}, "the fault dead has no option 'delay_s'; it has none"),
        ("slow_first_byte", {"delay_s": -1}, "delay_s of the fault slow_first_byte is a number"),
        ("slow_first_byte", {"delay_s": math.nan}, "is a number from 0, not nan"),
        ("slow_first_byte", {"delay_s": math.inf}, "is a number from 0, not inf"),
        ("slow_first_byte", {"delay_s": "1"}, "is a number from 0, not '1'"),
        ("slow_first_byte", {"delay_s": True}, "is a number from 0, not True"),
        ("crashing", {"after_chunks": 1.5}, "is a whole number from 0, not 1.5"),
        ("lying_about_tokens", {"times": 1}, "is a whole number from 2, not 1"),
        ("lying_about_tokens", {"how": "pad"}, "is one of repeat, split, not 'pad'"),
        ("refusing", {"status": 404}, "is one of 403, 429, 503, not 404"),
    ],
)
def test_what_is_wrong_with_a_fault_is_told(name: str, options: Any, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Fault(name, **options)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "faulty", [{"dead": -1}, {"dead": True}, {"dead": 1.0}, -1, True, [5], {5: 1}, ["ded"]]
)
def test_what_is_wrong_with_a_list_of_faults_is_told_when_the_network_is_made(faulty: Any) -> None:
    with pytest.raises(ConfigError):
        TestNetwork(faulty=faulty)
