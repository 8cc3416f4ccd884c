"""The placeholders of required fields: what SDKs send, and what is read of anything."""

from __future__ import annotations

import base64
import datetime as dt
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import BaseModel

from node.errors import MalformedRequest
from node.wire.synapse_headers import input_headers, parse_input_headers

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "synapse.json").read_text())
PREFIX = "bt_header_input_obj_"


class Inner(BaseModel):
    x: int = 1


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("text", "str"),
        ([1], "list"),
        ((1, "a"), "tuple"),
        ({1}, "list"),
        ({"a": 1}, "dict_or_model"),
        (Inner(), "dict_or_model"),
        (7, "int"),
        (7.5, "float"),
        (True, "bool"),
    ],
    ids=str,
)
def test_a_required_field_is_announced_by_the_empty_value_of_its_type(
    value: Any, kind: str
) -> None:
    text, encoded = VECTORS["input_obj_dummy_values"][kind]
    headers = input_headers({"field": value})
    assert headers == {PREFIX + "field": encoded}
    assert parse_input_headers(headers) == {"field": json.loads(text)}


@pytest.mark.parametrize("value", [None, dt.date(2025, 1, 1), b"x"], ids=str)
def test_what_json_has_no_word_for_gets_no_header(value: Any) -> None:
    assert input_headers({"field": value}) == {}


def test_a_name_that_no_header_can_have_gets_none() -> None:
    assert input_headers({"größe": 1, "size": 1}) == {PREFIX + "size": "MA=="}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_real_values_are_read_too_and_other_headers_are_not() -> None:
    headers = {PREFIX.upper() + "maxTokens": encoded("[1, 2]"), "name": "x", "bt_header_axon": "y"}
    assert parse_input_headers(headers) == {"maxTokens": [1, 2]}


@pytest.mark.parametrize(
    "text",
    ["", "!", "e30", encoded("{"), encoded("NaN"), encoded("[" * 3000), "MA==\n", "ä"],
    ids=lambda text: repr(text[:6]),
)
def test_what_is_no_base64_of_json_is_malformed(text: str) -> None:
    with pytest.raises(MalformedRequest):
        parse_input_headers({PREFIX + "field": text})


def test_the_number_and_the_size_are_bounded() -> None:
    parse_input_headers({f"{PREFIX}{index}": "MA==" for index in range(64)})
    with pytest.raises(MalformedRequest):
        parse_input_headers({f"{PREFIX}{index}": "MA==" for index in range(65)})
    parse_input_headers({PREFIX + "a": encoded('"' + "x" * 6000 + '"')})
    with pytest.raises(MalformedRequest):
        parse_input_headers({PREFIX + "a": encoded('"' + "x" * 7000 + '"')})


def test_a_field_that_appears_twice_is_malformed() -> None:
    headers = CIMultiDict({PREFIX + "a": "MA=="})
    headers.add(PREFIX + "a", "IiI=")
    with pytest.raises(MalformedRequest):
        parse_input_headers(headers)


@given(
    st.dictionaries(
        st.text(max_size=5).map(PREFIX.__add__),
        st.text(max_size=40) | st.binary().map(lambda raw: base64.b64encode(raw).decode()),
    )
)
def test_any_headers_are_read_or_malformed(headers: dict[str, str]) -> None:
    with suppress(MalformedRequest):
        assert len(parse_input_headers(headers)) == len(headers)
