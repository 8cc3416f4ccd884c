"""422: the field and the reason, never the value; unknown fields are ignored."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from node import Keypair, Synapse
from tests.raw_http import RawReply, signed_request

from .conftest import Target

SECRET = "s3cr3t-value"


class Turn(BaseModel):
    role: Literal["user", "system"]
    text: str = Field(max_length=20)


class Typed(Synapse):
    prompt: str = Field(min_length=1, pattern="^[a-z ]+$")
    count: int = Field(1, ge=0, le=10)
    turns: list[Turn] = Field(default_factory=list)
    table: dict[str, float] = Field(default_factory=dict)
    broken: str = ""

    @field_validator("broken")
    @classmethod
    def _break(cls, value: str) -> str:
        if value:
            raise KeyError(value)
        return value


@pytest.fixture
def typed(target: Target) -> Target:
    async def forward(synapse: Typed) -> Typed:
        target.texts.append(synapse.prompt)
        return synapse

    target.axon.attach(forward)
    return target


async def send(typed: Target, alice: Keypair, body: bytes | dict[str, Any]) -> RawReply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await typed.ask(signed_request(alice, typed.hotkey, "/Typed", data))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": SECRET}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": "a", "count": SECRET}, "count"),
        ({"prompt": "a", "count": 11}, "count"),
        ({"prompt": "a", "count": 1.5}, "count"),
        ({"prompt": "a", "count": 10**400}, "count"),
        ({"prompt": "a", "turns": SECRET}, "turns"),
        ({"prompt": "a", "turns": [{"role": SECRET, "text": ""}]}, "turns.0.role"),
        ({"prompt": "a", "turns": [{"role": "user", "text": SECRET * 9}]}, "turns.0.text"),
        ({"prompt": "a", "turns": [{"role": "user", "text": ""}, 7]}, "turns.1"),
        ({"prompt": "a", "table": {"k": SECRET}}, "table.k"),
    ],
)
async def test_a_body_that_does_not_fit_names_the_field_and_not_the_value(
    typed: Target, alice: Keypair, body: dict[str, Any], field: str
) -> None:
    reply = await send(typed, alice, body)
    assert (reply.status, reply.json()["code"]) == (422, "invalid_body")
    assert field in [fault["field"] for fault in reply.json()["fields"]]
    assert field in reply.json()["message"]
    assert all(fault["reason"] for fault in reply.json()["fields"])
    assert SECRET.encode() not in reply.body
    assert typed.texts == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"[]", b"null", b"true", b'"text"', b"5", b"{]", b"prompt=a",
        b'{"prompt": "a",}', b'{"prompt": "\xff"}', b'{"prompt": "a"} x', b"\xef\xbb\xbf{}",
        b"[" * 100_000, b'{"prompt":' * 50_000, b'{"prompt": "\\ud800"}', b"\x00", b"NaN",
        '{"prompt": "a"}'.encode("utf-16"),
    ],
    ids=range(20),
)  # fmt: skip
async def test_what_is_no_json_object_is_422(typed: Target, alice: Keypair, body: bytes) -> None:
    reply = await send(typed, alice, body)
    assert (reply.status, reply.json()["code"]) == (422, "invalid_body")
    assert len(reply.body) < 4000
    assert typed.texts == []


async def test_unknown_fields_are_ignored(typed: Target, alice: Keypair) -> None:
    old_peer = {
        "prompt": "a",
        "unknown": SECRET,
        "name": "Other",
        "timeout": "soon",
        "total_size": "big",
        "header_size": None,
        "dendrite": 5,
        "axon": {"port": SECRET},
        "computed_body_hash": ["x"],
        "required_hash_fields": ["prompt"],
    }
    reply = await send(typed, alice, old_peer)
    assert reply.status == 200
    assert set(reply.json()) == {"prompt", "count", "turns", "table", "broken"}


async def test_a_thousand_faults_make_a_short_reply(typed: Target, alice: Keypair) -> None:
    reply = await send(typed, alice, {"prompt": "a", "turns": [SECRET] * 1000})
    assert reply.status == 422
    assert len(reply.json()["fields"]) <= 20
    assert len(reply.body) < 10_000


async def test_a_key_of_the_callers_making_is_cut(typed: Target, alice: Keypair) -> None:
    reply = await send(typed, alice, {"prompt": "a", "table": {"k" * 100_000: "x"}})
    assert reply.status == 422
    assert len(reply.body) < 2000


async def test_a_validator_that_breaks_is_a_500_of_ours(
    typed: Target, alice: Keypair, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await send(typed, alice, {"prompt": "a", "broken": "x"})
    assert (reply.status, reply.json()["code"]) == (500, "forward_failed")
    assert [one for one in caplog.records if one.name.startswith("aiohttp")] == []


async def test_a_bad_body_was_a_request_and_its_nonce_is_used(
    typed: Target, alice: Keypair
) -> None:
    request = signed_request(alice, typed.hotkey, "/Typed", b"{}")
    assert (await typed.ask(request)).status == 422
    assert len(typed.guard) == 1
    assert (await typed.ask(request)).status == 401
