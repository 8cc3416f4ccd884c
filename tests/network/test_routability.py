from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import Keypair, Peer, errors
from node.network.routability import check_publishable, published, why_unroutable

HOTKEY = Keypair.from_uri("//Alice").ss58_address

REFUSED = {
    "the unspecified address": ["0.0.0.0", "::", "::ffff:0.0.0.0"],
    "an address of no network": ["0.0.0.1", "0.255.255.255"],
    "a private address": [
        "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0",
        "192.168.255.255", "fc00::1", "fdff::1", "fec0::1", "::ffff:10.0.0.1", "2002:a00:1::",
        "64:ff9b::10.0.0.1", "64:ff9b::c0a8:101",
    ],
    "an address inside a provider's network": ["100.64.0.0", "100.127.255.255", "64:ff9b:1::1"],
    "a loopback address": [
        "127.0.0.1", "127.255.255.255", "::1", "[::1]", "::ffff:127.0.0.1", "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
    "a link-local address": [
        "169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254",
    ],
    "an address for protocols": ["192.0.0.1", "192.88.99.1", "2001::1", "2001:1ff::1", "5f00::1"],
    "a documentation address": [
        "192.0.2.1", "198.51.100.255", "203.0.113.0", "2001:db8::1", "2001:db8:f::1", "3fff:fff::",
    ],
    "a benchmarking address": ["198.18.0.0", "198.19.255.255"],
    "a multicast address": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "a reserved address": ["240.0.0.1", "255.255.255.254", "::127.0.0.1", "4000::1", "8000::1"],
    "the broadcast address": ["255.255.255.255"],
    "an address that leads nowhere": ["100::1", "100:0:0:1::1"],
    "a name of this machine": ["localhost", "LocalHost.", "a.localhost"],
    "a name without a dot": ["redis", "miner_1", "metadata"],
    "a name under .": [
        "db.internal", "printer.local", "x.home.arpa", "nas.lan", "a.test", "localhost.localdomain",
        "metadata.google.internal", "host.docker.internal",
    ],
    "a number that resolvers read": ["127.1", "2130706433", "0x7f.1", "127.0.0.0x1", "256.1.1.1"],
    "no address": ["", ".", "a..example.com"],
}  # fmt: skip
TAKEN = [
    "8.8.8.8", "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0",
    "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255",
    "203.0.114.0", "223.255.255.255", "2606:4700:4700::1111", "[2a00:1450::1]", "2001:200::1",
    "2001:db7:ffff::1", "2001:db9::1", "3fff:1000::", "64:ff9b::8.8.8.8", "2002:808:808::1",
    "::ffff:8.8.8.8", "miner.example.com", "MINER.Example.com.", "a-b.c_d.io", "local.example.com",
    "internal.org", "xn--bcher-kva.de", "127.0.0.1.nip.io",
]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "reason"), [(host, reason) for reason, hosts in REFUSED.items() for host in hosts]
)
def test_what_others_can_not_reach_has_a_reason(host: str, reason: str) -> None:
    assert (why_unroutable(host) or "").startswith(reason)


@pytest.mark.parametrize("host", TAKEN)
def test_what_others_can_reach_has_none(host: str) -> None:
    assert why_unroutable(host) is None


@given(st.ip_addresses())
def test_whatever_python_knows_to_be_special_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    special = (
        address.is_private, address.is_loopback, address.is_link_local, address.is_multicast,
        address.is_reserved, address.is_unspecified,
    )  # fmt: skip
    # Judged by the IPv4 address inside; what Python says of the outer one differs by its version.
    outer = ("64:ff9b::/96", "::ffff:0:0/96", "2002::/16")
    is_outer = any(address in ipaddress.ip_network(network) for network in outer)
    if any(special) and not is_outer:
        assert why_unroutable(str(address)) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_as_itself(
    address: ipaddress.IPv4Address,
) -> None:
    number = int(address)
    for inside in (
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ):
        assert why_unroutable(str(inside)) == why_unroutable(str(address))


@given(st.text(max_size=40))
def test_any_text_has_an_answer(text: str) -> None:
    assert why_unroutable(text) is None or why_unroutable(text)


class TestPublished:
    def test_an_unroutable_peer_does_not_serve(self) -> None:
        peer = Peer(HOTKEY, "10.0.0.1", 8091, protocols=("btauth",), coldkey=HOTKEY)
        told = published(peer, allow_private=False)
        assert (told.is_serving, told.ip, told.hotkey) == (False, "0.0.0.0", peer.hotkey)
        assert (told.coldkey, told.protocols) == (peer.coldkey, peer.protocols)

    def test_it_is_told_where_that_is_allowed(self) -> None:
        peer = Peer(HOTKEY, "10.0.0.1", 8091)
        assert published(peer, allow_private=True) is peer

    @pytest.mark.parametrize(("ip", "port"), [("8.8.8.8", 8091), ("10.0.0.1", 0)])
    def test_others_are_told_as_they_are(self, ip: str, port: int) -> None:
        peer = Peer(HOTKEY, ip, port)
        assert published(peer, allow_private=False) is peer


class TestCheckPublishable:
    @pytest.mark.parametrize("ip", ["127.0.0.1", "192.168.1.5", "203.0.113.9", "db.internal"])
    def test_an_unroutable_peer_is_refused_with_what_to_do(self, ip: str) -> None:
        with pytest.raises(errors.ConfigError) as caught:
            check_publishable(Peer(HOTKEY, ip, 8091), allow_private=False)
        for word in (ip, "--axon.external_ip", "--subtensor.allow_private"):
            assert word in str(caught.value)

    @pytest.mark.parametrize(
        ("ip", "port", "allowed"),
        [("127.0.0.1", 8091, True), ("127.0.0.1", 0, False), ("8.8.8.8", 8091, False)],
    )
    def test_others_pass(self, ip: str, port: int, allowed: bool) -> None:
        check_publishable(Peer(HOTKEY, ip, port), allow_private=allowed)
