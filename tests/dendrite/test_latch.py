from __future__ import annotations

from node.dendrite.latch import Latch


def test_who_asks_is_called_when_it_happens_and_once() -> None:
    latch, called = Latch(), []
    latch.call(lambda: called.append("first"))
    latch.call(lambda: called.append("second"))
    assert (latch.is_set, called) == (False, [])
    latch.set()
    latch.set()
    assert (latch.is_set, called) == (True, ["first", "second"])


def test_who_asks_later_is_called_at_once() -> None:
    latch, called = Latch(), []
    latch.set()
    latch.call(lambda: called.append("late"))
    assert called == ["late"]
