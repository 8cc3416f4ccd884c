"""The body hash: every shape of the vectors as five SDKs hash it, and what coercion has to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from node import errors
from node.synapse import Synapse
from node.wire.body_hash import EMPTY_BODY_HASH, body_hash, check_body_hash

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "synapse.json").read_text())
SHAPES = {shape["name"]: shape for shape in VECTORS["shapes"]}
SDKS = ["10.5.0", "9.12.2", "8.5.2", "7.4.0", "6.12.4"]


class Message(BaseModel):
    x: int
    y: str | None = None
    z: list[int] = []


# The fields that the classes of the vectors had.
FIELDS: dict[str, dict[str, Any]] = {
    "no_required_hash_fields": {"text": (str, ...)},
    "one_str": {"text": (str, ...)},
    "list_str": {"messages": (list[str], ...)},
    "list_str_unicode_nonprintable": {"messages": (list[str], ...)},
    "empty_list": {"messages": (list[str], ...)},
    "dict_mixed": {"d": (dict[str, Any], ...)},
    "empty_dict": {"d": (dict[str, Any], ...)},
    "int": {"i": (int, ...)},
    "bool_true": {"b": (bool, ...)},
    "optional_none": {"o": (str | None, None), "text": (str, ...)},
    "optional_set": {"o": (str | None, None), "text": (str, ...)},
    "list_of_models": {"ms": (list[Message], ...)},
    "tuple_field": {"t": (tuple[int, str], ...)},
    "two_fields_in_field_order": {"a": (str, ...), "b": (str, ...)},
    "two_fields_reversed_required_order": {"a": (str, ...), "b": (str, ...)},
    "chat_messages": {
        "messages": (list[dict[str, str]], ...),
        "temperature": (float, 0.5),
        "stream": (bool, False),
    },
}


def model_of(shape: dict[str, Any]) -> type[Synapse]:
    return create_model(shape["class_name"], __base__=Synapse, **FIELDS[shape["name"]])


def values_for(shape: dict[str, Any], sdk: str) -> list[Any]:
    """Return the hashed values of the shape's body in the order in which that SDK takes them."""
    model = model_of(shape)
    dump = model.parse_body(shape["body_utf8"].encode()).model_dump()
    names = shape["required_hash_fields"]
    if sdk == "6.12.4":
        names = [field for field in model.own_fields() if field in names]
    return [dump[name] for name in names]


def test_every_shape_has_its_fields_here() -> None:
    assert set(FIELDS) == set(SHAPES)


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_hash_is_that_of_the_sdk(name: str, sdk: str) -> None:
    shape = SHAPES[name]
    assert body_hash(values_for(shape, sdk)) == shape["body_hash_by_version"][sdk]


@pytest.mark.parametrize("name", SHAPES)
def test_the_hash_is_what_the_axon_computed_too(name: str) -> None:
    shape = SHAPES[name]
    check_body_hash(shape["axon_side_body_hash"], values_for(shape, "10.5.0"))


@pytest.mark.parametrize("sdk", SDKS[:-1])
def test_classes_that_declare_the_list_as_a_field_take_field_order(sdk: str) -> None:
    case = VECTORS["field_style_required_hash_fields"][sdk]
    assert body_hash(case["values"].values()) == case["body_hash"]
    with pytest.raises(errors.BodyMismatch):
        check_body_hash(case["body_hash"], [case["values"][name] for name in case["required"]])


@pytest.mark.parametrize("sdk", ["6.12.4", "7.4.0"])
def test_requests_that_other_sdks_made_hash_alike(sdk: str) -> None:
    case = VECTORS["same_request_from_other_sdks"][sdk]
    model = model_of(SHAPES["one_str"])
    dump = model.parse_body(case["body_utf8"].encode()).model_dump()
    check_body_hash(case["headers"]["computed_body_hash"], [dump["text"]])


def test_no_hashed_field_is_the_empty_hash() -> None:
    assert body_hash([]) == EMPTY_BODY_HASH == VECTORS["empty_body_hash"]


class Coerced(BaseModel):
    number: float
    pair: tuple[int, str]
    inner: Message
    keyed: dict[int, bool]
    hashed: ClassVar[tuple[str, ...]] = ("number", "pair", "inner", "keyed")


RAW = '{"number": 7, "pair": [1, "a"], "inner": {"x": 1}, "keyed": {"1": true}}'


@pytest.mark.parametrize(
    ("field", "text", "raw_text"),
    [
        ("number", "7.0", "7"),
        ("pair", "(1, 'a')", "[1, 'a']"),
        ("inner", "{'x': 1, 'y': None, 'z': []}", "{'x': 1}"),
        ("keyed", "{1: True}", "{'1': True}"),
    ],
)
def test_values_are_hashed_after_the_schema_has_coerced_them(
    field: str, text: str, raw_text: str
) -> None:
    coerced = Coerced.model_validate_json(RAW).model_dump()[field]
    raw = json.loads(RAW)[field]
    # A str is hashed as it is, so it can say what the SDK hashes.
    assert body_hash([coerced]) == body_hash([text])
    assert body_hash([raw]) == body_hash([raw_text]) != body_hash([text])


@pytest.mark.parametrize("value", [1e22, 1.5e-05, -0.0, 1.0], ids=str)
def test_floats_are_written_as_python_writes_them(value: float) -> None:
    texts = {1e22: "1e+22", 1.5e-05: "1.5e-05", -0.0: "-0.0", 1.0: "1.0"}
    assert body_hash([value]) == body_hash([texts[value]])


def test_another_value_or_another_order_is_a_body_mismatch() -> None:
    claimed = body_hash(["A", "B"])
    check_body_hash(claimed, ["A", "B"])
    for values in (["B", "A"], ["A"], ["A", "B", "C"], ["AB"], ["A", "b"], []):
        with pytest.raises(errors.BodyMismatch):
            check_body_hash(claimed, values)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", ["\ud800", 10**5000, nested(100_000)], ids=["half", "big", "deep"]
)
def test_a_value_without_a_text_is_malformed(value: Any) -> None:
    with pytest.raises(errors.MalformedRequest):
        check_body_hash(EMPTY_BODY_HASH, [value])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(JSON, max_size=4))
def test_what_one_side_hashes_the_other_finds_in_the_json(values: list[Any]) -> None:
    try:
        claimed = body_hash(values)
    except errors.MalformedRequest:
        return
    check_body_hash(claimed, json.loads(json.dumps(values)))
