from __future__ import annotations

from pathlib import Path

import pytest

from node import errors
from node.keys import ss58_decode, ss58_encode
from node.neuron.state import state_path

from .rows import ALICE


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path))
    return tmp_path


def test_one_file_for_each_network_subnet_and_hotkey(home: Path) -> None:
    assert state_path(8, ALICE) == home / "validators" / "local" / "8" / f"{ALICE}.db"
    assert state_path(8, ALICE, "finney").parent == home / "validators" / "finney" / "8"


def test_one_key_has_one_file_however_it_is_spelt() -> None:
    assert state_path(8, ss58_encode(ss58_decode(ALICE), 0)) == state_path(8, ALICE)


def test_networks_that_are_no_names_of_folders_get_folders_of_their_own(home: Path) -> None:
    names = ["local:/tmp/a", "local:/tmp-a", "ws://1.2.3.4:9944", "..", ".", "/", "x" * 300, ""]
    paths = {state_path(8, ALICE, name) for name in names}
    assert len(paths) == len(names)
    for path in paths:
        assert path.resolve() == path
        assert path.parents[2] == home / "validators"
        assert len(path.parents[1].name) < 100


def test_a_password_does_not_show_and_does_not_matter() -> None:
    path = state_path(8, ALICE, "redis://user:secret@10.0.0.1:6379/0")
    assert "secret" not in str(path)
    assert path == state_path(8, ALICE, "redis://user:other@10.0.0.1:6379/0")
    assert path == state_path(8, ALICE, "redis://10.0.0.1:6379/0")
    assert path != state_path(8, ALICE, "redis://10.0.0.1:6379/1")


def test_without_the_variable_it_is_in_the_home_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GANGLION_HOME")
    monkeypatch.setenv("HOME", str(home))
    assert state_path(8, ALICE).is_relative_to(home / ".ganglion")


def test_a_hotkey_that_is_none_is_refused() -> None:
    with pytest.raises(errors.InvalidAddress):
        state_path(8, "../../etc/passwd")
