import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.trust.address import SPECIAL_4, verdict

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1
127.255.255.254 168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255
192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255
198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::ffff:a9fe:a9fe ::ffff:0:127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1
64:ff9b:1::1 64:ff9b:1:ffff::1 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:20::1
2001:db8::1 2002:7f00:1:: 2002:a00:1::1 2620:4f:8000::1 3fff::1 4000::1 5f00::1 fc00::1
fd00:ec2::254 fe80::1 fe80::a9fe:a9fe fec0::1 ff02::1 ff0e::1 e000::1
""".split()  # noqa: SIM905  a table of sixty reads better
ALLOWED = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0
198.17.255.255 198.20.0.0 223.255.255.255 2001:4860:4860::8888 2400:3200::1 2606:4700::1111
2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8
""".split()  # noqa: SIM905  a table of sixty reads better
NO_ADDRESS = """
2130706433 0x7f.1 0x7f000001 0177.0.0.1 127.1 010.0.0.1 localhost example.com 1.1.1.1:80
[::1] 1.1.1.1\\@10.0.0.1 1.1.1.1#@10.0.0.1 127。0。0。1 1.1.1.256 ::1::
""".split()  # noqa: SIM905  a table of sixty reads better


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address):
    assert verdict(address, allowed=()) == f"{address!r} is not a public address"


@pytest.mark.parametrize("address", ALLOWED)
def test_what_is_public_passes(address):
    assert verdict(address, allowed=()) is None


@pytest.mark.parametrize("address", [*NO_ADDRESS, ""])
def test_what_is_no_plain_address_is_refused(address):
    assert verdict(address, allowed=("0.0.0.0/0", "::/0")) == f"{address!r} is not an IP address"


def test_a_zone_is_refused_wherever_it_points():
    assert verdict("fe80::1%eth0", allowed=("::/0",)) == "'fe80::1%eth0' names a zone"


def test_an_operator_may_open_a_network():
    assert verdict("10.0.0.7", allowed=("10.0.0.1/24",)) is None
    assert verdict("10.0.1.7", allowed=("10.0.0.0/24", "fd00::/8")) is not None
    assert verdict("fd00::7", allowed=("10.0.0.0/24", "fd00::/8")) is None
    assert verdict("::ffff:10.0.0.7", allowed=("10.0.0.0/24",)) is None
    assert verdict("::ffff:10.0.0.7", allowed=("::ffff:0:0/96",)) is not None


@given(st.integers(0, (1 << 32) - 1))
def test_wrapping_an_address_changes_nothing(number):
    plain = ipaddress.IPv4Address(number)
    refused = verdict(str(plain), allowed=()) is not None
    assert refused == any(plain in network for network in SPECIAL_4)
    for prefix in ("::ffff:", "64:ff9b::"):
        assert (verdict(f"{prefix}{plain}", allowed=()) is not None) == refused


@given(st.ip_addresses(v=6))
def test_nothing_python_calls_local_passes(address):
    local = address.is_private or address.is_loopback or address.is_link_local
    if local or address.is_multicast or address.is_reserved or address.is_unspecified:
        carried = address.ipv4_mapped or (
            address in ipaddress.IPv6Network("64:ff9b::/96")
            and ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        )
        wanted = bool(carried) and verdict(str(carried), allowed=()) is None
        assert (verdict(str(address), allowed=()) is None) == wanted
