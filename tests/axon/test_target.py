from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.axon.target import parse_target, route_name
from node.errors import MalformedRequest
from node.streams import StreamMode
from node.wire import DigestName


def test_a_target_without_a_query_asks_for_raw_and_leaves_the_deadline() -> None:
    target = parse_target("/Prompting")
    assert (target.timeout_s, target.mode) == (None, StreamMode.RAW)


def test_other_parameters_are_ignored() -> None:
    target = parse_target("/Prompting?trace=1&stream=frames&timeout=1.5&timeout_s=9")
    assert (target.timeout_s, target.mode) == (1.5, StreamMode.FRAMES)


@pytest.mark.parametrize("timeout", ["inf", "nan", "-1", "0", "soon", "1e9", "-inf"])
def test_a_deadline_that_is_none_is_refused(timeout: str) -> None:
    with pytest.raises(MalformedRequest, match="timeout"):
        parse_target(f"/Prompting?timeout={timeout}")


def test_an_unknown_mode_is_refused_with_the_modes_there_are() -> None:
    with pytest.raises(MalformedRequest, match="frames, sse, raw"):
        parse_target("/Prompting?stream=carrier-pigeon")


@pytest.mark.parametrize(
    ("query", "digest"),
    [
        ("", DigestName.SHA256),
        ("?digest=sha256", DigestName.SHA256),
        ("?digest=blake3", DigestName.BLAKE3),
        ("?stream=sse&digest=blake3", DigestName.BLAKE3),
        ("?digest=", DigestName.SHA256),
        ("?digest=BLAKE3", DigestName.SHA256),
        ("?digest=md5", DigestName.SHA256),
        ("?digest=blake3:", DigestName.SHA256),
    ],
)
def test_a_digest_that_is_not_asked_for_or_not_known_is_sha256(
    query: str, digest: DigestName
) -> None:
    assert parse_target(f"/Prompting{query}").digest is digest


def test_names_are_percent_decoded() -> None:
    assert route_name("/%C3%89cho?x=/y") == "Écho"


@given(st.text())
def test_any_target_is_parsed_or_malformed(target: str) -> None:
    route_name(target)
    with contextlib.suppress(MalformedRequest):
        parse_target(target)
