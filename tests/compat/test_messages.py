from __future__ import annotations

import warnings
from typing import Any, ClassVar

import pytest
from pydantic import Field, ValidationError, create_model

import node
import node.compat as bt
from node.errors import MalformedRequest
from tests.wire.test_body_hash import FIELDS, SHAPES, VECTORS

from .synapses import Double, Letters

SIZES = ("header_size", "total_size")


def model_of(shape: dict[str, Any]) -> type[bt.Synapse]:
    model = create_model(shape["class_name"], __base__=bt.Synapse, **FIELDS[shape["name"]])
    model.required_hash_fields = tuple(shape["required_hash_fields"])
    return model


@pytest.mark.parametrize("name", SHAPES)
def test_headers_and_body_hash_are_those_of_the_sdk(name: str) -> None:
    shape = SHAPES[name]
    synapse = model_of(shape).model_validate_json(shape["body_utf8"])
    assert synapse.body_hash == shape["body_hash"]
    headers = synapse.to_headers()
    assert all(headers.pop(size).isdigit() for size in SIZES)
    assert headers == {key: text for key, text in shape["headers"].items() if key not in SIZES}


def test_a_synapse_comes_back_from_its_headers() -> None:
    synapse = Double(x=3, timeout=7.5)
    synapse.axon = bt.TerminalInfo(ip="1.2.3.4", port=8091, hotkey="5axon")
    synapse.dendrite.nonce = 12
    headers = synapse.to_headers()
    headers = {name.replace("bt_header_axon", "BT_Header_Axon"): headers[name] for name in headers}
    back = Double.from_headers(headers)
    assert (back.name, back.timeout, back.x, back.y) == ("Double", 7.5, 0, None)
    assert back.axon == synapse.axon
    assert back.dendrite == synapse.dendrite
    assert back.computed_body_hash == synapse.body_hash
    assert back.total_size == synapse.total_size > 0


def test_headers_without_a_required_field_or_with_a_spoilt_one_are_refused() -> None:
    headers = Double(x=3).to_headers()
    with pytest.raises(MalformedRequest):
        Double.from_headers({**headers, "bt_header_input_obj_x": "not base64!"})
    del headers["bt_header_input_obj_x"]
    with pytest.raises(ValidationError):
        Double.from_headers(headers)


def test_the_base_class_reads_the_headers_of_any_other() -> None:
    back = bt.Synapse.from_headers(Double(x=3).to_headers())
    assert (back.name, back.timeout) == ("Synapse", 12.0)


def test_required_fields_and_names_are_told() -> None:
    assert Double.get_required_fields() == Double(x=1).get_required_fields() == ["x"]
    assert Letters.get_required_fields() == ["text"]
    assert Double.set_name_type({"x": 1}) == {"x": 1, "name": "Double"}


def test_the_size_is_that_of_the_body() -> None:
    synapse = Double(x=1)
    assert synapse.get_total_size() == synapse.total_size == len(synapse.encode_body())


def test_hash_fields_may_be_a_pydantic_field_in_the_old_way() -> None:
    vector = VECTORS["field_style_required_hash_fields"]["10.5.0"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        class Pair(bt.Synapse):
            a: str = Field(..., title="A", allow_mutation=False)  # type: ignore[call-overload]
            b: str = Field(..., title="B")
            required_hash_fields: list[str] = Field(  # type: ignore[misc,call-overload,assignment]
                vector["required"], title="Hashed", allow_mutation=False
            )

            class Config:
                validate_assignment = True

    assert {str(warning.message).split(" ")[0] for warning in caught} == {
        "`allow_mutation`", "Field", "Support",
    }  # fmt: skip
    pair = Pair(**vector["values"])
    assert pair.body_hash == vector["body_hash"]
    assert pair.required_hash_fields == vector["required"]
    with pytest.raises(ValidationError):
        pair.a = "else"
    pair.b = "else"


def test_a_name_that_is_no_field_is_told_when_it_is_hashed() -> None:
    class Wrong(bt.Synapse):
        required_hash_fields: ClassVar[tuple[str, ...]] = ("nope",)

    with pytest.raises(KeyError, match="nope"):
        Wrong().body_hash  # noqa: B018


@pytest.mark.parametrize(("status", "failed"), [(None, True), (200, False), (403, True)])
def test_anything_but_200_is_a_failure(status: int | None, failed: bool) -> None:
    synapse = bt.Synapse()
    synapse.dendrite.status_code = status
    assert (synapse.is_failure, synapse.is_success) == (failed, not failed)


def test_the_old_hash_can_not_be_set() -> None:
    with pytest.raises((AttributeError, ValidationError)):
        Double(x=1).body_hash = "0"  # type: ignore[misc]


async def test_a_streaming_response_holds_a_streamer_either_way() -> None:
    async def streamer(send: bt.Send) -> None:
        await send({})

    response = bt.StreamingSynapse.BTStreamingResponse
    held = response(bt.BTStreamingResponseModel(token_streamer=streamer), status_code=200)
    assert held.token_streamer is response(streamer).token_streamer is streamer
    synapse = Letters(text="a")
    made = synapse.create_streaming_response(streamer)
    assert (type(made), made.synapse) == (response, synapse)
    assert isinstance(made, node.StreamingSynapse.BTStreamingResponse)
