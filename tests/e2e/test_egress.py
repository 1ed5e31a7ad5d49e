"""No outside connection: every connect() of every process, seen by the kernel's own account."""

import re
import shutil

import pytest

OUTSIDE = re.compile(r'sa_family=AF_INET6?, .*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')
LOOPBACK = re.compile(r"127\.|::1$|0\.0\.0\.0$")


def dialled(trace: str) -> list[str]:
    """Addresses outside loopback that a trace shows being dialled or written to."""
    return [address for address in OUTSIDE.findall(trace) if not LOOPBACK.match(address)]


@pytest.mark.lab
@pytest.mark.timeout(120)
def test_a_site_that_starts_serves_and_stops_dials_nobody(make_site, tmp_path):
    """Start, deploy, chat, restart: connect() and sendto() stay on this host."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    wrap = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace)]
    site = make_site(wrap=wrap)
    site.deploy("echo", engine="fake", model="echo")
    site.stop()
    seen = trace.read_text(errors="replace")
    assert "AF_UNIX" in seen, "the trace saw nothing: it proves nothing"
    assert dialled(seen) == []


def test_the_check_sees_an_outside_address():
    """A connection to a documentation address is found, loopback is not."""
    line = '12 connect(7, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("%s")}, 16)'
    six = "12 connect(7, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
    six += 'inet_pton(AF_INET6, "%s", &sin6_addr), sin6_scope_id=0}, 28)'
    assert dialled(line % "127.0.0.1" + "\n" + six % "::1") == []
    assert dialled(line % "192.0.2.1" + "\n" + six % "2001:db8::1") == ["192.0.2.1", "2001:db8::1"]
