from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.neuron.state import cells
from tests.neuron.scoring.hostile import NOT_FINITE


@pytest.mark.parametrize("value", NOT_FINITE, ids=lambda value: type(value).__name__)
def test_what_is_no_finite_number_is_none_or_0(value: Any) -> None:
    assert cells.optional_number(value) is None
    assert cells.number(value) == 0.0


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (3, 3), (-3, -3), (3.9, 3), (True, 1), (10**400, 2**63 - 1), (-(10**400), 1 - 2**63),
        (1e300, 2**63 - 1), (None, None), ("3", None), (math.nan, None), (math.inf, None),
    ],
)  # fmt: skip
def test_integers_have_64_bits(value: Any, stored: int | None) -> None:
    assert cells.optional_integer(value) == stored
    assert cells.integer(value) == (stored or 0)


def test_texts_are_short_and_can_be_encoded() -> None:
    assert cells.text("wrong answer") == "wrong answer"
    assert cells.text("x" * 9999) == "x" * cells.MAX_TEXT_CHARS
    assert cells.text("a\ud800b") == "a?b"
    assert cells.text(None) == cells.text(7) == ""


@given(st.text())
def test_any_text_can_be_encoded(text: str) -> None:
    assert len(cells.text(text).encode("utf-8")) <= 4 * cells.MAX_TEXT_CHARS
