"""Reply headers: what an old dendrite reads from ours, and what we believe of an old axon's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.keys import Keypair
from node.wire.synapse_headers import encode_error_body, parse_reply_headers, reply_headers

A, D = "bt_header_axon_", "bt_header_dendrite_"
ALICE = Keypair.from_uri("//Alice").ss58_address
BOB = Keypair.from_uri("//Bob").ss58_address


def test_a_good_reply_says_so_in_its_headers() -> None:
    headers = reply_headers(
        name="Prompting",
        status=200,
        process_time_s=0.25,
        timeout=12,
        axon_hotkey=BOB,
        axon_ip="192.0.2.7",
        axon_port=8091,
        dendrite_hotkey=ALICE,
        dendrite_nonce=17,
        dendrite_uuid="session",
        body_hash="ab" * 32,
    )
    assert headers == {
        "name": "Prompting",
        "timeout": "12.0",
        A + "status_code": "200",
        A + "status_message": "Success",
        A + "process_time": "0.25",
        A + "ip": "192.0.2.7",
        A + "port": "8091",
        A + "hotkey": BOB,
        D + "nonce": "17",
        D + "uuid": "session",
        D + "hotkey": ALICE,
        "computed_body_hash": "ab" * 32,
    }


def test_what_is_not_known_is_left_out() -> None:
    headers = reply_headers(name="Synapse", status=404)
    assert headers == {"name": "Synapse", A + "status_code": "404"}


def test_no_reply_carries_a_signature() -> None:
    names = reply_headers(name="P", status=401, message="no", axon_hotkey=BOB, dendrite_uuid="u")
    assert not [name for name in names if "signature" in name or name == A + "nonce"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("Forbidden. Key is blacklisted: low stake.", "Forbidden. Key is blacklisted: low stake."),
        ("naïve ☃", "na?ve ?"),
        ("a\r\nset-cookie: x\0", "a??set-cookie: x?"),
        ("x" * 10_000, "x" * 512),
        ("\ud800", "?"),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_status_text_fits_any_client(message: str, text: str) -> None:
    assert reply_headers(name="P", status=403, message=message)[A + "status_message"] == text


@given(st.text(), st.text())
def test_every_header_can_be_sent(name: str, message: str) -> None:
    for value in reply_headers(name=name, status=500, message=message).values():
        assert value.isascii()
        assert not value or value.isprintable()
        assert len(value) <= 512


@given(st.text())
def test_an_error_body_is_json_that_holds_the_message(message: str) -> None:
    assert json.loads(encode_error_body(message)) == {"message": message}


def test_our_own_replies_are_read_back() -> None:
    headers = reply_headers(name="P", status=200, process_time_s=1e-05)
    status = parse_reply_headers(headers, http_status=200)
    assert status == {"status_code": 200, "status_message": "Success", "process_time": 1e-05}


@pytest.mark.parametrize("http_status", [400, 403, 404, 500, 503, 204])
def test_a_header_makes_no_success_of_an_http_error(http_status: int) -> None:
    headers = {A + "status_code": "200", A + "status_message": "Success"}
    assert parse_reply_headers(headers, http_status=http_status) == {"status_code": http_status}


def test_a_header_can_make_a_reply_worse() -> None:
    headers = {A.upper() + "STATUS_CODE": "408", A + "status_message": "too late"}
    status = parse_reply_headers(headers, http_status=200)
    assert status == {"status_code": 408, "status_message": "too late"}


@pytest.mark.parametrize("code", ["", "abc", "099", "600", "+200", "200.0", "٢٠٠", "2" * 9999])
def test_a_status_that_can_not_be_read_is_the_http_status(code: str) -> None:
    headers = {A + "status_code": code}
    assert parse_reply_headers(headers, http_status=200) == {"status_code": 200}


def test_only_the_outcome_is_read() -> None:
    headers = {
        A + member: value
        for member, value in {
            "status_code": "200",
            "hotkey": ALICE,
            "ip": "203.0.113.9",
            "port": "1",
            "nonce": "1",
            "uuid": "u",
            "version": "1",
            "signature": "0x" + "ab" * 64,
        }.items()
    }
    spoof = {D + "hotkey": ALICE, D + "status_code": "200", "timeout": "9", "name": "Other"}
    assert parse_reply_headers({**headers, **spoof}, http_status=200) == {"status_code": 200}


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "1e999", "x", "", "9" * 9999])
def test_a_process_time_that_is_no_time_is_left_out(text: str) -> None:
    headers = {A + "process_time": text}
    assert "process_time" not in parse_reply_headers(headers, http_status=200)


def test_a_peers_words_are_cut_and_made_printable() -> None:
    headers = {A + "status_message": "\x1b[31m" + "x" * 600}
    status = parse_reply_headers(headers, http_status=200)
    assert status["status_message"] == "?[31m" + "x" * 507


@given(st.dictionaries(st.sampled_from([A + "status_code", A + "process_time"]), st.text()))
def test_any_headers_are_read(headers: dict[str, str]) -> None:
    status = parse_reply_headers(headers, http_status=200)
    assert 100 <= status["status_code"] < 600
