from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.neuron.pretokeniser import split_tokens

SURROGATES_TOO = st.text(st.characters(codec=None, exclude_categories=[]))


@given(st.text() | SURROGATES_TOO)
def test_the_tokens_joined_are_the_text(text: str) -> None:
    tokens = list(split_tokens(text))
    assert "".join(tokens) == text
    assert "" not in tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Hello world", ["Hello", " world"]),
        ("I'm they're we've I'll don't", [
            "I", "'m", " they", "'re", " we", "'ve", " I", "'ll", " don", "'t",
        ]),
        ("a  b", ["a", " ", " b"]),
        ("a\n\n b", ["a", "\n\n", " b"]),
        ("tail   ", ["tail", "   "]),
        ("x=12,y_1", ["x", "=", "12", ",", "y", "_", "1"]),
        ("3.14 !!", ["3", ".", "14", " !!"]),
        ("é日本🚀 ١٢", ["é日本", "🚀", " ١٢"]),
    ],
)  # fmt: skip
def test_text_is_cut_as_gpt_2_cuts_it(text: str, tokens: list[str]) -> None:
    assert list(split_tokens(text)) == tokens


def test_a_long_text_takes_no_more_than_linear_time() -> None:
    # A pattern that backtracks would need hours for this.
    text = " " * 200_000 + "a" * 200_000 + "'" * 200_000
    assert sum(len(token) for token in split_tokens(text)) == len(text)
