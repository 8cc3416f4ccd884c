from __future__ import annotations

import copy
import dataclasses
import ipaddress
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import Peer, errors
from node.keys import ss58_decode, ss58_encode
from node.network import load_peers, parse_peers

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"

addresses = st.builds(
    ss58_encode,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 16383).filter(lambda prefix: prefix not in (46, 47)),
)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = (
    st.lists(labels, min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda name: not name.rpartition(".")[2].isdigit())
)
hosts = st.one_of(
    st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), names, names.map(str.upper)
)


class TestParse:
    @given(hotkey=addresses, ip=hosts, port=st.integers(0, 65535))
    def test_round_trip(self, hotkey: str, ip: str, port: int) -> None:
        peer = Peer(hotkey, ip, port)
        assert Peer.parse(str(peer)) == peer
        assert Peer.from_mapping(peer.to_mapping()) == peer
        assert peer.public_key == ss58_decode(hotkey)
        assert peer.is_serving is (port > 0)

    def test_capacity(self) -> None:
        peer = Peer(ALICE, "h", 1, capacity={"B": 2, "A": 1})
        assert [peer.capacity_of(route) for route in ("A", "B", "C")] == [1, 2, None]
        assert Peer.from_mapping(peer.to_mapping()) == peer
        assert hash(peer) == hash(Peer(ALICE, "h", 1, capacity={"A": 1, "B": 2}))

    @pytest.mark.parametrize(
        "capacity",
        ["AB", 3, {"A": 0}, {"A": True}, {"A": 1.5}, {"": 1}, {"a b": 1}, {1: 1}, [("A",)],
         {f"R{n}": 1 for n in range(65)}, {"A": 2**20 + 1}],
    )  # fmt: skip
    def test_a_capacity_that_is_none(self, capacity: object) -> None:
        with pytest.raises(errors.ConfigError, match="capacity"):
            Peer(ALICE, "h", 1, capacity=capacity)  # type: ignore[arg-type]

    @given(text=st.text())
    def test_any_text_is_a_peer_or_a_config_error(self, text: str) -> None:
        for candidate in (text, f"{ALICE}@{text}", f"{ALICE}@{text}:1", f"{ALICE}@h:{text}"):
            try:
                peer = Peer.parse(candidate)
            except errors.ConfigError:
                continue
            assert Peer.parse(str(peer)) == peer

    @pytest.mark.parametrize(
        ("text", "host", "url"),
        [
            ("127.0.0.1:8091", "127.0.0.1", "http://127.0.0.1:8091"),
            ("[::1]:8091", "::1", "http://[::1]:8091"),
            ("[2001:DB8:0::1]:8091", "2001:db8::1", "http://[2001:db8::1]:8091"),
            ("Miner_1.Example.COM:8091", "miner_1.example.com", "http://miner_1.example.com:8091"),
        ],
    )
    def test_hosts(self, text: str, host: str, url: str) -> None:
        peer = Peer.parse(f"  {ALICE}@{text}\n")
        assert (peer.hotkey, peer.ip, peer.port, peer.url) == (ALICE, host, 8091, url)
        assert peer.protocols == ()

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("", "no '@'"),
            (ALICE, "no '@'"),
            (f"{ALICE}@127.0.0.1", "':PORT'"),
            (f"{ALICE}@[::1]", "':PORT'"),
            (f"{ALICE}@::1:8091", "brackets"),
            (f"{ALICE}@[localhost]:8091", "brackets"),
            (f"{ALICE}@:8091", "host is empty"),
            (f"{ALICE}@h:", "port ''"),
            (f"{ALICE}@h:65536", "port 65536"),
            (f"{ALICE}@h:-1", "port '-1'"),
            (f"{ALICE}@h:+1", "port"),
            (f"{ALICE}@h:1_0", "port"),
            (f"{ALICE}@h:\u0661", "port"),
            (f"{ALICE}@256.1.1.1:1", "IPv4"),
            (f"{ALICE}@1.2.3:1", "IPv4"),
            (f"{ALICE}@ho st:1", "host 'ho st'"),
            (f"{ALICE}@h/path:1", "host"),
            (f"{ALICE}@user@h:1", "host"),
            (f"{ALICE}@bücher.de:1", "ASCII"),
            (f"{ALICE}@-h:1", "host"),
            (f"{ALICE}@a..b:1", "host"),
            (f"{ALICE}@{'a' * 64}:1", "host"),
            (f"{ALICE}@{'a.' * 127}aa:1", "host"),
            (f"{ALICE}@[fe80::1%eth0]:1", "zone"),
            (f"{ALICE[:-1]}@h:1", "hotkey"),
            ("@h:1", "hotkey"),
        ],
    )
    def test_bad_text_names_the_part(self, text: str, part: str) -> None:
        with pytest.raises(errors.ConfigError, match="(?i)" + part.replace("[", r"\[")) as caught:
            Peer.parse(text)
        assert "\n" not in str(caught.value)

    def test_a_long_text_is_cut_in_the_error(self) -> None:
        with pytest.raises(errors.ConfigError) as caught:
            Peer.parse("x" * 100_000)
        assert len(str(caught.value)) < 300


class TestValue:
    def test_addresses_are_normalised(self) -> None:
        other_prefix = ss58_encode(ss58_decode(ALICE), 2)
        peer = Peer(other_prefix, "h", 1, coldkey=other_prefix)
        assert peer == Peer(ALICE, "h", 1, coldkey=ALICE)
        assert hash(peer) == hash(Peer(ALICE, "h", 1, coldkey=ALICE))

    def test_ip_is_canonical_so_that_equal_places_are_equal(self) -> None:
        assert Peer(ALICE, "0:0::0001", 1) == Peer(ALICE, str(ipaddress.ip_address("::1")), 1)

    def test_is_frozen_and_copies(self) -> None:
        peer = Peer(ALICE, "h", 1, protocols=("epistula", "btauth"), version=7)
        with pytest.raises(dataclasses.FrozenInstanceError):
            peer.port = 2  # type: ignore[misc]
        assert pickle.loads(pickle.dumps(peer)) == copy.deepcopy(peer) == peer
        assert dataclasses.replace(peer, port=0).is_serving is False
        assert pickle.loads(pickle.dumps(peer)).public_key == peer.public_key

    def test_repr_is_short(self) -> None:
        assert repr(Peer(ALICE, "::1", 5)) == f"Peer('{ALICE}@[::1]:5', protocols=())"

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"port": True}, "port"),
            ({"port": "8091"}, "port"),
            ({"port": 1.0}, "port"),
            ({"ip": None}, "host"),
            ({"hotkey": 5}, "hotkey"),
            ({"coldkey": "nobody"}, "coldkey"),
            ({"version": -1}, "version"),
            ({"version": 2**32}, "version"),
            ({"protocols": "btauth"}, "protocols"),
            ({"protocols": ("a", "a")}, "protocols"),
            ({"protocols": tuple("abcdefghi")}, "protocols"),
            ({"protocols": ("Btauth",)}, "protocol"),
            ({"protocols": (1,)}, "protocol"),
            ({"protocols": 1}, "protocols"),
        ],
    )
    def test_bad_values_name_the_part(self, changes: dict[str, Any], part: str) -> None:
        with pytest.raises(errors.ConfigError, match=part):
            Peer(**{"hotkey": ALICE, "ip": "h", "port": 1, **changes})


class TestMapping:
    def test_host_is_another_name_for_ip(self) -> None:
        mapping = {"hotkey": ALICE, "host": "h", "port": 1, "protocols": ["epistula"]}
        assert Peer.from_mapping(mapping) == Peer(ALICE, "h", 1, protocols=("epistula",))

    @pytest.mark.parametrize(
        ("mapping", "text"),
        [
            ({"hotkey": ALICE, "ip": "h", "prot": 1}, "did you mean 'port'"),
            ({"hotkey": ALICE, "ip": "h", "port": 1, 3: 4}, "no key 3"),
            ({"hotkey": ALICE, "ip": "h", "host": "h", "port": 1}, "not both"),
            ({"hotkey": ALICE, "port": 1}, "needs the key 'ip'"),
            ({"ip": "h", "port": 1}, "needs the key 'hotkey'"),
        ],
    )
    def test_bad_keys(self, mapping: dict[str, Any], text: str) -> None:
        with pytest.raises(errors.ConfigError, match=text):
            Peer.from_mapping(mapping)


class TestLists:
    def test_comma_list(self) -> None:
        assert parse_peers(f"{ALICE}@a:1 , {BOB}@[::1]:2") == [
            Peer(ALICE, "a", 1),
            Peer(BOB, "::1", 2),
        ]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "empty"),
            (" , ", "empty"),
            (f"{ALICE}@a:1,", "comma"),
            (f"{ALICE}@a:1,{ALICE}@b:1", "twice"),
            (f"{ALICE}@a:1,{ss58_encode(ss58_decode(ALICE), 0)}@b:1", "twice"),
        ],
    )
    def test_bad_comma_list(self, text: str, reason: str) -> None:
        with pytest.raises(errors.ConfigError, match=reason):
            parse_peers(text)

    def test_yaml_file(self, tmp_path: Path) -> None:
        file = tmp_path / "peers.yaml"
        file.write_text(
            f"- {ALICE}@[::1]:8091\n- hotkey: {BOB}\n  host: miner\n  port: 8092\n"
            "  protocols: [epistula, btauth]\n"
        )
        assert (
            load_peers(file)
            == load_peers(str(file))
            == [
                Peer(ALICE, "::1", 8091),
                Peer(BOB, "miner", 8092, protocols=("epistula", "btauth")),
            ]
        )

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("", "list"),
            ("[]", "list"),
            ("peers: 1", "list"),
            ("- [", "not YAML .*line"),
            ("- \x00", "not YAML"),
            ("- !!python/object/apply:os.getcwd []", "not YAML"),
            ("[" * 5000, "not YAML"),
            (f"- {ALICE}@a:1\n- 5", "item 2 must be"),
            (f"- {ALICE}@a:1\n- hotky: {ALICE}", "item 2: .*did you mean 'hotkey'"),
            (f"- {ALICE}@a:99999", "item 1: .*port"),
            (f"- {ALICE}@a:1\n- {ALICE}@b:1", "twice"),
            ("#" * (2**20 + 1), "over"),
        ],
    )
    def test_bad_yaml_file(self, tmp_path: Path, content: str, reason: str) -> None:
        file = tmp_path / "peers.yaml"
        file.write_text(content)
        with pytest.raises(errors.ConfigError, match=reason) as caught:
            load_peers(file)
        assert "peers.yaml" in str(caught.value)

    def test_missing_yaml_file(self, tmp_path: Path) -> None:
        with pytest.raises(errors.ConfigError, match=r"none\.yaml can't be read: No such file"):
            load_peers(tmp_path / "none.yaml")
