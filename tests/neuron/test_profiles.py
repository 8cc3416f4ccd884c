from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from node.errors import ConfigError
from node.neuron.profiles import load_profile

KNOWN = ("axon.port", "axon.ip", "wallet.name", "uids", "netuid")


def load(folder: Path, text: str | bytes) -> dict[str, object]:
    path = folder / "p.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return {name: entry.value for name, entry in load_profile(str(path), KNOWN).items()}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("---\n", {}),
        ("axon:\n", {}),
        ("axon: {port: 1}\nnetuid: 8", {"axon.port": "1", "netuid": "8"}),
        ("axon.port: 1\naxon:\n  ip: 0.0.0.0", {"axon.port": "1", "axon.ip": "0.0.0.0"}),
        ("wallet.name: 007", {"wallet.name": "007"}),
        ("wallet.name: no", {"wallet.name": "no"}),
        ("wallet.name: 'null'", {"wallet.name": "null"}),
        ("wallet.name: null", {"wallet.name": None}),
        ("wallet.name: ~", {"wallet.name": None}),
        ("uids: [0, 1]", {"uids": ("0", "1")}),
        ("uids:\n- 0\n- 1\n", {"uids": ("0", "1")}),
        ("wallet.name: &n é日\naxon.ip: *n", {"wallet.name": "é日", "axon.ip": "é日"}),
    ],
)
def test_values_are_the_text_of_the_file(
    tmp_path: Path, text: str, values: dict[str, object]
) -> None:
    assert load(tmp_path, text) == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "must have keys and values"),
        ("just text", "must have keys and values"),
        ("axon: {port: 1}\naxon.port: 2", "line 2: axon.port is set twice, first at "),
        ("axon:\n  port: 1\n  port: 2", "line 3: axon.port is set twice"),
        ("axon: [1]", "line 1: axon must have keys below it"),
        ("axon: {port: {deep: 1}}", "axon.port must have a value"),
        ("uids: [[0]]", "uids must have a value"),
        ("[1]: 2", "unknown key ?"),
        ("<<: {netuid: 1}", "unknown key <<"),
        ("a: b: c", "is not YAML at line 1: mapping values"),
        ("netuid: 1\n\tnetuid: 2", "is not YAML at line"),
        ("netuid: 1\n---\nnetuid: 2", "is not YAML at line"),
        ("wallet.name: !!python/name:os.system x", "wallet.name has the tag"),
        ("wallet.name: !env NAME", "wallet.name has the tag !env"),
        (b"\xff\xfe\xff", "is not YAML"),
        (b"netuid: \xff", "is not YAML in UTF-8"),
        ("netuid: 1 #" + "x" * 2**20, "more than 1048576 bytes"),
    ],
)
def test_what_can_not_be_used_is_told_with_the_file(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert words in str(caught.value)
    assert "p.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_refers_to_itself_does_not_hang(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key axon\.axon"):
        load(tmp_path, "axon: &a\n  axon: *a\n")
    with pytest.raises(ConfigError, match="uids must have a value"):
        load(tmp_path, "uids: &a [*a]\n")


def test_a_folder_or_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"the profile {tmp_path} can't be read: Is a directory"):
        load_profile(str(tmp_path), KNOWN)
    if os.geteuid() != 0:
        path = tmp_path / "p.yaml"
        path.touch(mode=stat.S_IWUSR)
        with pytest.raises(ConfigError, match="Permission denied"):
            load_profile(str(path), KNOWN)
