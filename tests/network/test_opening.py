from __future__ import annotations

from pathlib import Path

import pytest

from node import errors, open_network
from node.network import Network
from node.network.local import LocalNetwork


def test_local_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GANGLION_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    network = open_network("local")
    assert isinstance(network, Network)
    assert isinstance(network, LocalNetwork)
    assert network.path == tmp_path / ".ganglion" / "local.db"
    assert network.name == "local"
    assert list(tmp_path.iterdir()) == []


def test_the_environment_moves_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANGLION_HOME", str(tmp_path / "elsewhere"))
    network = open_network("local")
    assert isinstance(network, LocalNetwork)
    assert network.path == tmp_path / "elsewhere" / "local.db"
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_be_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    network = open_network("local:sub/net:1.db")
    assert isinstance(network, LocalNetwork)
    assert network.path == tmp_path / "sub" / "net:1.db"
    assert network.name == "local:sub/net:1.db"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("finney", "this version speaks; use 'local'"),
        ("test", "this version speaks; use 'local'"),
        ("ws://127.0.0.1:9944", "this version speaks; use 'local'"),
        ("wss://entrypoint", "this version speaks; use 'local'"),
        ("redis://host/0", "this version speaks; use 'local'"),
        ("finey", "did you mean 'finney'"),
        ("loca:x", "did you mean 'local'"),
        ("", "use 'local'"),
        ("local:", "no path"),
    ],
)
def test_other_names_are_refused(name: str, advice: str) -> None:
    with pytest.raises(errors.ConfigError, match=advice):
        open_network(name)
