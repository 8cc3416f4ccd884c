"""The digest of a streamed reply, by each of its two functions."""

from __future__ import annotations

import hashlib

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from node.errors import BadReceipt
from node.wire import DigestName, ReplyDigest

NAMES = pytest.mark.parametrize("name", DigestName)
CHUNKS = [b"one", b"", b"\x00two", "drei é".encode()]
PATTERN = bytes(number % 251 for number in range(65_537))
LARGE = [PATTERN[:-1], PATTERN]

# SHA-256 of the bytes 00000003 "one" 00000000 00000004 "\0two" 00000007 "drei é", and of 00010000
# and 00010001 before the two of LARGE, worked out by sha256sum. BLAKE3 of two digests, as bytes:
# of the lengths 00000003 00000000 00000004 00000007 and of "one\0twodrei é"; so for LARGE.
GOLDEN = {
    ("sha256", "small"): "3ef2225761e52d45173bff2710c08d5a0962559891e0eb58c490216d2a386874",
    ("blake3", "small"): "5995674369cb5c97e3d5c33d0e132bdb93457412cb90121f581229a6ca67f8db",
    ("sha256", "large"): "c6180b047e68cdd232176750a859dfe2e1c5c31cf8d5d9a2599793aa96a23342",
    ("blake3", "large"): "8f072be4326c589efb8383cf84ea54d257a67e10b80bb93b8db5af07839978c5",
}


def digest_of(chunks: list[bytes], name: DigestName = DigestName.SHA256) -> ReplyDigest:
    digest = ReplyDigest(name)
    for chunk in chunks:
        digest.add(chunk)
    return digest


@pytest.mark.parametrize(("name", "size"), GOLDEN)
def test_the_digest_is_that_of_the_protocol(name: str, size: str) -> None:
    chunks = CHUNKS if size == "small" else LARGE
    assert digest_of(chunks, DigestName(name)).hexdigest() == GOLDEN[name, size]


def test_blake3_is_the_official_one() -> None:
    """The vectors that its authors publish, for 0 and 1,024 bytes."""
    vectors = {
        0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    }
    for size, vector in vectors.items():
        assert blake3(PATTERN[:size]).hexdigest() == vector
    nothing = bytes.fromhex(vectors[0])
    assert ReplyDigest(DigestName.BLAKE3).hexdigest() == blake3(nothing + nothing).hexdigest()
    assert ReplyDigest().hexdigest() == hashlib.sha256().hexdigest()


@NAMES
@pytest.mark.parametrize("chunks", [[], [b"one"], [b"", b"\x00" * 70_000, b"z"], [b"a"] * 300])
def test_chunks_that_are_added_together_are_as_one_by_one(
    chunks: list[bytes], name: DigestName
) -> None:
    digest = ReplyDigest(name)
    digest.add(b"before")
    digest.add_all(chunks)
    assert digest.chunks == 1 + len(chunks)
    assert digest.hexdigest() == digest_of([b"before", *chunks], name).hexdigest()


@NAMES
@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_two_lists_of_chunks_have_one_digest_only_if_they_are_equal(
    name: DigestName, first: list[bytes], second: list[bytes]
) -> None:
    digests = [digest_of(chunks, name).hexdigest() for chunks in (first, second)]
    assert (digests[0] == digests[1]) == (first == second)


def test_what_is_signed_says_by_which_function_it_was_made() -> None:
    assert digest_of(CHUNKS).signed_text() == GOLDEN["sha256", "small"]
    named = digest_of(CHUNKS, DigestName.BLAKE3).signed_text()
    assert named == "blake3:" + GOLDEN["blake3", "small"]


@NAMES
def test_one_like_another_is_by_the_same_function_and_empty(name: DigestName) -> None:
    found = ReplyDigest.like(digest_of(CHUNKS, name).signed_text())
    assert (found.name, found.chunks) == (name, 0)
    assert found.hexdigest() == ReplyDigest(name).hexdigest()


@pytest.mark.parametrize("text", ["md5:00", ":00", "BLAKE3:00", "sha256:00", "blake3 :00", "::"])
def test_a_function_that_is_not_known_is_a_bad_receipt(text: str) -> None:
    with pytest.raises(BadReceipt, match=r"the receipt's digest is '.*', which is not known here"):
        ReplyDigest.like(text)


def test_the_sentence_about_an_unknown_function_is_short() -> None:
    with pytest.raises(BadReceipt) as caught:
        ReplyDigest.like("\n\x1b" * 100_000 + ":")
    assert len(str(caught.value)) < 150
    assert str(caught.value).isprintable()


@given(st.text())
def test_any_text_names_a_function_or_is_a_bad_receipt(text: str) -> None:
    try:
        ReplyDigest.like(text)
    except BadReceipt:
        assert ":" in text
