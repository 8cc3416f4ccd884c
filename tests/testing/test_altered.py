"""Wrong answers are wrong, of the right type, and whatever is no answer stays as it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from node.testing.altered import answer_fields, changed_item, changed_reply, wrong
from tests.testing.synapses import Token, Upper


class Colour(StrEnum):
    RED = "red"


class Aliased(BaseModel):
    model_config = ConfigDict(frozen=True)

    word: str = Field(alias="w")
    colour: Colour = Colour.RED
    tone: Literal["soft"] = "soft"
    share: float = Field(default=1.0, le=1.0)
    nested: list[Token] = []


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("azAZ09", "baBA10"),
        ("a, b!", "b, c!"),
        ("  ", "  !"),
        ("", "!"),
        ("né", "oé"),
        (b"abc", b"bcd"),
        (b"\xff\x00", b"\xfe\x01"),
        (True, False),
        (1, 2),
        (0.5, 1.5),
        (None, None),
        (["a", 1], ["b", 2]),
        (("a",), ("b",)),
        ({"a": "a"}, {"a": "b"}),
        (Colour.RED, Colour.RED),
    ],
)
def test_a_wrong_value_is_of_the_same_type(value: Any, other: Any) -> None:
    assert wrong(value) == other
    assert type(wrong(value)) is type(value)


@given(st.text())
def test_no_text_stays_as_it_is(text: str) -> None:
    assert wrong(text) != text


@given(st.binary())
def test_no_bytes_stay_as_they_are(data: bytes) -> None:
    assert wrong(data) != data


def test_a_model_is_wrong_in_every_field_that_allows_it() -> None:
    item = Aliased(w="abc", nested=[Token(text="a", index=0)])
    changed = changed_item(item, wrong)
    assert changed.word == "bcd"
    assert (changed.colour, changed.tone, changed.share) == (Colour.RED, "soft", 1.0)
    assert changed.nested == [Token(text="b", index=1)]
    assert item.word == "abc"


def test_the_answer_is_what_the_forward_changed() -> None:
    asked = Upper.parse_body(b'{"text": "a"}')
    answered = asked.copy_for_call()
    answered.answer, answered.length = "A", 1
    assert answer_fields(answered, asked) == ["answer", "length"]
    assert answer_fields(asked, asked) == ["answer", "parts", "length", "tone"]
    changed = changed_reply(answered, asked, wrong)
    assert isinstance(changed, Upper)
    assert (changed.text, changed.answer, changed.length) == ("a", "B", 2)
    assert (changed.parts, changed.tone) == ([], "soft")
