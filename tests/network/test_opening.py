from __future__ import annotations

from pathlib import Path

import pytest

from node import errors, open_network
from node.network import Network
from node.network.chain import ChainNetwork
from node.network.local import LocalNetwork
from node.network.redis_network import RedisNetwork


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
    ("name", "shown"),
    [
        ("finney", "finney"),
        ("test", "test"),
        ("archive", "archive"),
        ("ws://127.0.0.1:9944", "ws://127.0.0.1:9944"),
        ("wss://user:secret@node.example/key?token=secret", "wss://node.example"),
    ],
)
def test_chains_are_opened_by_name_and_by_address(name: str, shown: str) -> None:
    network = open_network(name)
    assert isinstance(network, Network)
    assert isinstance(network, ChainNetwork)
    assert network.name == shown
    assert repr(network) == f"<ChainNetwork {shown}>"


@pytest.mark.parametrize(
    "name",
    ["redis://h:1/2?prefix=x", "rediss://h", "unix:///run/redis.sock?db=1"],
)
def test_a_redis_is_opened_by_its_address(name: str) -> None:
    with open_network(name) as network:
        assert isinstance(network, Network)
        assert isinstance(network, RedisNetwork)
        assert network.name == name


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("finey", "did you mean 'finney'"),
        ("finney:443", "did you mean 'finney'"),
        ("ws:node", "use finney, test, archive, ws://HOST:PORT"),
        ("wss://node:port", "use finney, test, archive, ws://HOST:PORT"),
        ("loca:x", "did you mean 'local'"),
        ("redi://h", "did you mean 'redis'"),
        ("", "use 'local'"),
        ("local:", "no path"),
    ],
)
def test_other_names_are_refused(name: str, advice: str) -> None:
    with pytest.raises(errors.ConfigError, match=advice):
        open_network(name)
