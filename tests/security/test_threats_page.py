"""What docs/threats.md says is shown is shown: every test that it names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.axon.dialects import DIALECTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threats.md").read_text()
DEFAULT = re.compile(r"Tests: `(tests/[\w/]+\.py)`")
NAMED = re.compile(r"`(?:([\w/]+\.py)::)?(test_\w+)`")


def named() -> Iterator[tuple[str, str]]:
    """Yield file and name of each test on the page; a section says its usual file first."""
    for section in PAGE.split("\n## ")[1:]:
        default = DEFAULT.search(section)
        for file, name in NAMED.findall(section):
            assert file or default, f"{name}: in which file?"
            yield (f"tests/{file}" if file else default.group(1) if default else ""), name


@pytest.mark.parametrize(("file", "name"), sorted(set(named())))
def test_a_test_that_the_page_names_is_there(file: str, name: str) -> None:
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_the_page_has_a_section_for_each_protocol_and_a_row_for_each_weakness() -> None:
    for protocol in DIALECTS:
        assert f"`{protocol}`" in PAGE
    rows = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 15)]
