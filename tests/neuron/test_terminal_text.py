from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.neuron.terminal_text import one_line, safe_text


def test_what_a_terminal_would_obey_is_shown() -> None:
    assert safe_text("a\x1b[2Jb\x07\x9b\r\x7f") == "a\\x1b[2Jb\\x07\\x9b\\x0d\\x7f"
    assert one_line("a\nb\rc\u2028\td") == "a\\nb\\rc\\u2028\td"


def test_text_and_its_lines_stay_as_they_are() -> None:
    text = "é日🚀\n\tplain [red]text[/red]"
    assert safe_text(text) == text


@given(st.text())
def test_one_line_is_one_line_and_has_no_control(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert not [c for c in shown if (ord(c) < 32 and c != "\t") or 127 <= ord(c) < 160]
