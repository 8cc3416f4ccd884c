from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import BadReply
from node.streams import TextPieces


@given(st.text(), st.integers(1, 5))
def test_text_survives_any_cut(text: str, size: int) -> None:
    data, decoder = text.encode(), TextPieces()
    pieces = [decoder.feed(data[start : start + size]) for start in range(0, len(data), size)]
    decoder.finish()
    assert "".join(pieces) == text


def test_one_byte_at_a_time_gives_whole_characters() -> None:
    decoder = TextPieces()
    pieces = [decoder.feed(bytes([byte])) for byte in "é日🚀".encode()]
    assert [piece for piece in pieces if piece] == ["é", "日", "🚀"]


def test_bytes_that_are_no_text_are_a_bad_reply() -> None:
    with pytest.raises(BadReply):
        TextPieces().feed(b"ok \xff")


def test_a_character_left_half_is_a_bad_reply() -> None:
    decoder = TextPieces()
    assert decoder.feed("é".encode()[:1]) == ""
    with pytest.raises(BadReply):
        decoder.finish()


def test_half_a_character_before_others_is_a_bad_reply() -> None:
    decoder = TextPieces()
    assert decoder.feed("é".encode()[:1]) == ""
    with pytest.raises(BadReply):
        decoder.feed(b"plain")
