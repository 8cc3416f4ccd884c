from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.neuron.state import ValidatorState

from .rows import ALICE

Open = Callable[..., ValidatorState]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "state.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Opens states, and closes them at the end."""
    states: list[ValidatorState] = []

    def call(**options: Any) -> ValidatorState:
        settings = {"netuid": 8, "hotkey": ALICE, "network": "local", **options}
        states.append(ValidatorState(settings.pop("path", path), **settings))
        return states[-1].open()

    yield call
    for state in states:
        state.close()
