"""Scoring is pure: it can be run on a virtual clock, and in any thread."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import node.neuron.scoring

FOLDER = Path(node.neuron.scoring.__file__).parent
ALLOWED = {
    "__future__", "bisect", "collections", "dataclasses", "enum", "itertools", "math", "node",
    "numbers", "operator", "random", "sys",
}  # fmt: skip
# Of `random` only the class, for its type: a source of chance is always given.
OF_RANDOM = {"Random"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_but_arithmetic_is_imported(path: Path) -> None:
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            assert {alias.name.partition(".")[0] for alias in item.names} <= ALLOWED - {"random"}
        elif isinstance(item, ast.ImportFrom) and not item.level:
            assert (item.module or "").partition(".")[0] in ALLOWED
            if item.module == "random":
                assert {alias.name for alias in item.names} <= OF_RANDOM
