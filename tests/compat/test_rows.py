from __future__ import annotations

import numpy as np
import pytest

from node.compat import rows
from node.compat.rows import Amount, Count, Row, column


@pytest.fixture
def without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "np", None)


def test_with_numpy_a_column_is_its_array() -> None:
    stake = column([1.0, 2.5], "float32")
    assert isinstance(stake, np.ndarray)
    assert stake.dtype == np.float32
    assert np.where(stake > 2)[0].tolist() == [1]
    assert stake[1].item() == 2.5


@pytest.mark.usefixtures("without_numpy")
def test_without_numpy_it_has_what_most_code_asks_of_one() -> None:
    uids, stake = column(range(3), "int64"), column([0.5, 1.0, 2.0], "float32")
    assert isinstance(uids, Row)
    assert (uids, uids.tolist(), len(uids)) == ([0, 1, 2], [0, 1, 2], 3)
    assert (uids[1].item(), stake[2].item(), stake[-1]) == (1, 2.0, 2.0)
    assert [type(value) for value in (*uids.tolist(), *stake.tolist())] == [int] * 3 + [float] * 3
    assert [uid.item() for uid in uids] == [0, 1, 2]
    assert column([True, False], "bool").tolist() == [True, False]


def test_a_row_is_picked_from_by_positions_and_by_bools() -> None:
    row = Row([10, 20, 30])
    for picked in (row[[0, 2]], row[(0, 2)], row[np.array([0, 2])], row[[True, False, True]]):
        assert isinstance(picked, Row)
        assert picked == [10, 30]
    assert row[1:] == [20, 30]
    assert isinstance(row[1:], Row)
    assert (row[np.int64(1)], row[Count(2)], row[[]]) == (20, 30, [])
    with pytest.raises(ValueError, match="zip"):
        row[[True, False]]
    with pytest.raises(IndexError):
        row[3]
    with pytest.raises(TypeError):
        row[[0.5]]


def test_numbers_are_numbers_with_item() -> None:
    assert (Count(3) + 1, list(range(Count(2))), Count(3).item()) == (4, [0, 1], 3)
    assert type(Count(3).item()) is int
    assert type(Amount(1.5).item()) is float
    assert (f"{Count(3)}", f"{Amount(1.5):.2f}") == ("3", "1.50")
    assert np.zeros(Count(2)).shape == (2,)
