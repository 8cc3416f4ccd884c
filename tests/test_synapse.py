from __future__ import annotations

import math
import pickle
from copy import deepcopy
from typing import Any

import pydantic
import pytest
from pydantic import Field

from node import Keypair, StreamingSynapse, Synapse, TerminalInfo, TextStream
from node.errors import BadReply, InvalidBody
from node.wire import Receipt
from node.wire.caller import make_caller
from node.wire.receipt import sign_receipt
from protocols import Prompting, StreamPrompting

ALICE = Keypair.from_uri("//Alice")


class Everything(Synapse):
    prompt: str
    limit: int = 64
    blob: bytes = b""
    score: float = 0.0
    tags: list[str] = Field(default_factory=list)
    fixed: str = Field("kept", frozen=True)
    aliased: int = Field(0, alias="theAlias")


class Écho(Synapse):
    pass


def test_the_route_is_the_class_name() -> None:
    assert Everything.route_path() == "/Everything"
    assert Everything(prompt="x").name == "Everything"
    assert Écho.route_path() == "/%C3%89cho"


def test_only_own_fields_travel() -> None:
    synapse = Everything(prompt="x", dendrite=TerminalInfo(hotkey="me"))
    body = synapse.encode_body()
    assert b"dendrite" not in body
    assert b'"theAlias":0' in body
    assert Everything.parse_body(body).prompt == "x"


def test_values_that_json_lacks_make_the_round_trip() -> None:
    synapse = Everything(prompt="x", blob=b"\xff\x00", score=math.inf)
    again = Everything.parse_body(synapse.encode_body())
    assert (again.blob, again.score) == (b"\xff\x00", math.inf)
    assert math.isnan(
        Everything.parse_body(Everything(prompt="x", score=math.nan).encode_body()).score
    )


def test_what_a_body_claims_about_the_exchange_is_ignored() -> None:
    body = b'{"prompt":"x","dendrite":{"hotkey":"5Forged"},"axon":7,"timeout":"soon","new":1}'
    synapse = Everything.parse_body(body)
    assert synapse.dendrite.hotkey is None
    assert synapse.timeout == 12.0


def test_a_claim_is_ignored_however_its_name_is_spelt() -> None:
    synapse = Everything.parse_body(
        rb'{"prompt":"x","t\u0069meout":3,"\u0064endrite":{"hotkey":"5F"}}'
    )
    assert synapse.timeout == 12.0
    assert synapse.dendrite.hotkey is None


def test_what_goes_with_a_claim_is_read_as_without() -> None:
    own = b'"prompt":"\xc3\xa9\\n","blob":"//4=","score":-Infinity,"limit":7'
    synapse = Everything.parse_body(b'{"timeout":5,%b}' % own)
    assert synapse.encode_body() == Everything.parse_body(b"{%b}" % own).encode_body()
    assert synapse.model_fields_set == {"prompt", "blob", "score", "limit"}


class Exact(Synapse):
    model_config = pydantic.ConfigDict(strict=True)

    pair: tuple[int, int]


def test_a_body_is_read_as_json_and_not_as_python_objects() -> None:
    assert Exact.parse_body(b'{"pair":[1,2],"timeout":3}').pair == (1, 2)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"prompt":5}', "prompt"),
        (b"{}", "prompt"),
        (b'{"prompt":"x","tags":["a",{"secret":1}]}', "tags.1"),
        (b"[]", "body"),
        (b'{"prompt":', "body"),
        (b"\xff\xfe", "body"),
        (b"", "body"),
    ],
)
def test_a_bad_body_names_the_field_and_never_the_value(body: bytes, field: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        Everything.parse_body(body)
    assert caught.value.fields[0][0] == field
    assert "secret" not in str(caught.value)


def fill(synapse: Synapse, body: bytes) -> None:
    synapse.parse_answer(body, synapse.question_fields())


def test_an_answer_fills_what_was_left_at_its_default() -> None:
    synapse = Everything(prompt="x", tags=[])
    fill(synapse, b'{"prompt":"x","limit":1,"tags":["t"],"blob":"_wA=","theAlias":3}')
    assert (synapse.limit, synapse.tags, synapse.blob, synapse.aliased) == (1, ["t"], b"\xff\0", 3)


def test_an_answer_never_rewrites_the_question() -> None:
    synapse = Everything(prompt="asked", limit=128)
    answer = (
        b'{"prompt":"other","limit":1,"fixed":"changed","name":"Evil",'
        b'"dendrite":{"hotkey":"evil"},"score":1.5}'
    )
    fill(synapse, answer)
    assert (synapse.prompt, synapse.limit, synapse.fixed) == ("asked", 128, "kept")
    assert synapse.name == "Everything"
    assert synapse.dendrite.hotkey is None
    assert synapse.score == 1.5


@pytest.mark.parametrize("answer", [b'{"score":1.5}', b'{"prompt":[],"score":1.5}'])
def test_an_answer_may_lack_or_spoil_the_question(answer: bytes) -> None:
    synapse = Everything(prompt="asked")
    fill(synapse, answer)
    assert (synapse.prompt, synapse.score) == ("asked", 1.5)


@pytest.mark.parametrize("answer", [b'{"score":"high"}', b"[]", b"null", b"{", b"\xff"])
def test_an_answer_that_does_not_fit_is_a_bad_reply_and_takes_nothing(answer: bytes) -> None:
    synapse = Everything(prompt="asked")
    before = synapse.model_dump()
    with pytest.raises(BadReply):
        fill(synapse, answer)
    assert synapse.model_dump() == before


def test_fill_takes_all_or_nothing() -> None:
    synapse = Everything(prompt="asked")
    question = synapse.question_fields()
    with pytest.raises(BadReply):
        synapse.fill({"limit": 5, "score": "high"}, question)
    assert synapse.limit == 64
    synapse.fill({"limit": 5, "prompt": "no", "timeout": 1}, question)
    assert (synapse.limit, synapse.prompt, synapse.timeout) == (5, "asked", 12.0)


@pytest.mark.parametrize(
    ("status", "true"),
    [
        (None, set()),
        (200, {"is_success"}),
        (408, {"is_failure", "is_timeout"}),
        (403, {"is_failure", "is_blacklist"}),
        (401, {"is_failure", "failed_verification"}),
        (503, {"is_failure"}),
    ],
)
def test_what_a_status_means(status: int | None, true: set[str]) -> None:
    synapse = Prompting(messages=["x"], dendrite=TerminalInfo(status_code=status))
    names = {"is_success", "is_failure", "is_timeout", "is_blacklist", "failed_verification"}
    assert {name for name in names if getattr(synapse, name)} == true


def test_a_streaming_synapse_without_hooks_is_abstract() -> None:
    class Half(StreamingSynapse):
        async def process_streaming_response(self, response: Any) -> Any:
            yield response

    with pytest.raises(TypeError, match="extract_response_json"):
        Half()  # type: ignore[abstract]


def test_create_streaming_response_carries_the_streamer() -> None:
    async def streamer(send: Any) -> None:
        await send({})

    synapse = StreamPrompting(messages=["x"])
    reply = synapse.create_streaming_response(streamer)
    assert isinstance(reply, StreamingSynapse.BTStreamingResponse)
    assert (reply.token_streamer, reply.synapse) == (streamer, synapse)


def test_assigning_a_wrong_type_is_refused() -> None:
    synapse = StreamPrompting(messages=["x"])
    with pytest.raises(pydantic.ValidationError):
        synapse.completion = 5  # type: ignore[assignment]


def test_text_streams_and_prompts_deserialize_to_themselves() -> None:
    assert issubclass(StreamPrompting, TextStream)
    synapse = Prompting(messages=["x"])
    assert synapse.deserialize() is synapse


class Minding(Everything):
    """With what pydantic keeps beside the fields."""

    model_config = pydantic.ConfigDict(extra="allow")

    _private: list[int] = pydantic.PrivateAttr(default_factory=list)


def a_receipt() -> Receipt:
    caller = make_caller(
        public_key=ALICE.public_key, scheme="sr25519", protocol="btauth", nonce_ns=1, signed=b"x"
    )
    return sign_receipt(ALICE, caller, status=200, chunks=0, reply="", started_ns=1, ended_ns=2)


def test_what_is_known_of_an_end_makes_the_same_as_the_constructor() -> None:
    known = TerminalInfo.known(hotkey="me", port=1)
    made = TerminalInfo(hotkey="me", port=1)
    assert known == made
    assert known.model_fields_set == made.model_fields_set
    assert known.model_dump_json() == made.model_dump_json()
    assert Synapse().dendrite == TerminalInfo()
    with pytest.raises(pydantic.ValidationError):
        known.port = "none"  # type: ignore[assignment]


@pytest.mark.parametrize("synapse", [Everything(prompt="x"), Minding(prompt="x", more=1)])
def test_a_copy_for_a_call_is_like_its_model(synapse: Everything) -> None:
    end = TerminalInfo(hotkey="me")
    copy = synapse.copy_for_call(dendrite=end, timeout=3.0)
    assert copy == synapse.model_copy(update={"dendrite": end, "timeout": 3.0}, deep=True)
    assert copy.model_fields_set == synapse.model_fields_set | {"dendrite", "timeout"}
    assert copy.dendrite is end
    copy.tags.append("more")
    assert synapse.tags == []


@pytest.mark.parametrize("kind", [Everything, Minding])
def test_a_receipt_goes_along_with_copies(kind: type[Everything]) -> None:
    synapse, without, receipt = kind(prompt="x"), kind(prompt="x"), a_receipt()
    without.attach_receipt(None)
    assert (synapse.receipt, without.receipt) == (None, None)
    synapse.attach_receipt(receipt)
    assert synapse.receipt is receipt
    for copy in (synapse.model_copy(), deepcopy(synapse), pickle.loads(pickle.dumps(synapse))):
        assert copy.receipt == receipt
    assert b"receipt" not in synapse.encode_body()
    assert "receipt" not in synapse.model_dump_json()
