"""Every socket that listens, of every process: on loopback, or TLS that wants to know who it is.

Control and a joined machine, both open to every network, each with two kinds of engines.
"""

import ipaddress
import itertools
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import write_pair
from e2e.conftest import PACKAGES, Site, free_port
from littoral.testing import gguf

pytestmark = pytest.mark.timeout(180)
LISTENING, UNCONNECTED = "0A", "07"
FAKE = {"engine": "fake", "model": "echo", "where": {}}
REAL = {"model": "tiny", "where": {}}


class Open(Site):
    """A machine that serves its clients on every address, over TLS."""

    def __init__(self, folder: Path, **variables: str) -> None:
        own = {"LITTORAL_HOST": "0.0.0.0", "LITTORAL_NAME": folder.name}  # noqa: S104  that is the point
        super().__init__(
            folder, environ={**own, **variables}, certificate=write_pair(folder.parent)
        )

    def run(self, *words: str) -> str:
        command = [sys.executable, "-m", "littoral", *words, "--data-dir", str(self.data_dir)]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LITTORAL_")}
        done = subprocess.run(
            command,
            env=environ | {"PYTHONPATH": PACKAGES} | self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class Joined(Open):
    """One that joined: control is elsewhere."""

    def ready(self) -> bool:
        return self.answers("/healthz")


class Two:
    """Control, and a machine that joined it."""

    def __init__(self, folder: Path) -> None:
        (folder / "one").mkdir()
        (folder / "two").mkdir()
        self.join, self.session, self.peer = free_port(), free_port(), free_port()
        self.cloud = Open(
            folder / "one/cloud",
            LITTORAL_NODES_LISTEN=f"0.0.0.0:{self.join}",
            LITTORAL_NODES_URL=f"https://127.0.0.1:{self.join}",
            LITTORAL_SESSION_LISTEN=f"0.0.0.0:{self.session}",
        )
        peer = f"127.0.0.1:{self.peer}"  # every address is refused: others must be told one
        self.edge = Joined(folder / "two/edge", LITTORAL_PEER_LISTEN=peer)

    def start(self, weights: Path) -> None:
        self.cloud.start()
        self.cloud.run("models", "pull", f"file:{weights}", "--name", "tiny")
        kinds = {"echo": FAKE, "tiny": REAL}
        documents = [
            {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}
            for name, spec in kinds.items()
        ]
        assert self.cloud.request("POST", "/api/v1/apply", {"documents": documents})[0] == 200
        told = json.loads(self.cloud.run("nodes", "invite", "--json"))
        self.edge.run("node", "join", told["url"], "--token", told["token"], "--no-start")
        self.edge.start()
        self.cloud.wait_for(self.serve, "four engines to be ready", timeout_s=90.0)

    def serve(self) -> bool:
        _, found = self.cloud.request("GET", "/api/v1/nodes")
        states = [
            endpoint["state"]
            for node in found["items"]
            for endpoint in (node["status"] or {"endpoints": []})["endpoints"]
        ]
        return states.count("ready") == 4


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open")
    made = Two(folder)
    try:
        made.start(gguf.write(folder / "tiny.gguf"))
        yield made
    finally:
        made.edge.stop()
        made.cloud.stop()


def descendants(pid: int) -> set[int]:
    """A process and all that it started, and they."""
    parents: dict[int, set[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, set()).add(int(stat.parent.name))
    found, new = set(), {pid}
    while new:
        found |= new
        new = set().union(*(parents.get(each, set()) for each in new)) - found
    return found


def sockets_of(pid: int) -> set[str]:
    """Inodes of a process's sockets."""
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(file.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def listening(
    pids: set[int],
) -> Iterator[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """Address and port of each TCP socket that listens, and each UDP socket that takes all."""
    mine = set().union(*(sockets_of(pid) for pid in pids))
    for table, state in (("tcp", LISTENING), ("udp", UNCONNECTED)):
        for version in ("", "6"):
            for line in Path(f"/proc/net/{table}{version}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == state and words[9] in mine:
                    yield address_of(words[1])


def address_of(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """The kernel writes each 32 bits of an address in the host's order."""
    host, port = text.split(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return ipaddress.ip_address(packed), int(port, 16)


def reached(site: Site) -> tuple[set[int], int]:
    """Ports that other hosts reach, and how many sockets listen in all."""
    found = list(listening(descendants(site.processes()["supervisor"])))
    return {port for address, port in found if not address.is_loopback}, len(found)


def test_what_other_hosts_reach_are_the_listeners_that_were_asked_for(two):
    ports, count = reached(two.cloud)
    assert ports == {two.cloud.port, two.join, two.session}
    assert count >= 5  # of these, and of two engines on loopback
    ports, count = reached(two.edge)
    assert ports == {two.edge.port}
    assert count >= 3


def test_the_search_for_sockets_finds_one_that_is_open_to_all():
    with socket.socket() as door:
        door.bind(("0.0.0.0", 0))  # noqa: S104  that is the point
        door.listen()
        here = [
            address for address, port in listening({os.getpid()}) if port == door.getsockname()[1]
        ]
    assert [str(each) for each in here] == ["0.0.0.0"]  # noqa: S104  as above


def open_ports(two):
    return (two.cloud.port, two.join, two.session, two.edge.port, two.peer)


def test_what_other_hosts_reach_does_not_answer_in_plain_text(two):
    for port in open_ports(two):
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                heard = plain.recv(100)
            except ConnectionResetError:
                heard = b""
        assert not heard.startswith(b"HTTP"), port


def stranger() -> ssl.SSLContext:
    """Trusts anybody, and shows no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def said(port: int, line: str, context: ssl.SSLContext) -> int:
    """Status of the answer to one request of a stranger; 0 where there is none."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        wrapped.sendall(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        words = wrapped.recv(100).split()
    return int(words[1]) if words else 0


def test_nodes_doors_end_at_the_handshake_without_a_certificate_of_the_cluster(two, tmp_path):
    other = stranger()
    pair = write_pair(tmp_path)
    other.load_cert_chain(pair, pair.with_name("key.pem"))
    doors = {two.session: "GET /node/v1/session", two.peer: "GET /node/v1/blobs"}
    for (port, line), context in itertools.product(doors.items(), (stranger(), other)):
        try:
            status = said(port, line, context)
        except (ssl.SSLError, ConnectionError):
            status = 0
        assert status == 0


def test_who_shows_no_key_or_token_gets_nothing(two):
    for port in (two.cloud.port, two.edge.port):
        assert said(port, "POST /v1/chat/completions", stranger()) == 401
        assert said(port, "GET /v1/models", stranger()) == 401
        assert said(port, "GET /api/v1/keys", stranger()) == 401
    assert said(two.join, "POST /node/v1/join", stranger()) in {400, 401, 403, 422}
    assert said(two.join, f"GET /node/v1/blobs/{'0' * 64}", stranger()) in {400, 401, 403, 404}
    assert said(two.join, "GET /api/v1/keys", stranger()) == 404


def test_engines_on_loopback_want_a_key(two):
    for site in (two.cloud, two.edge):
        own = {site.port, two.join, two.session, two.peer}
        ports = {port for _, port in listening(descendants(site.processes()["supervisor"]))} - own
        assert len(ports) >= 2
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), 10) as plain:
                plain.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
                heard = plain.recv(100)
            assert heard.split()[1:2] in ([b"401"], [b"403"]), heard


def test_what_runs_beside_the_network_is_for_its_owner_only(two):
    for site in (two.cloud, two.edge):
        assert site.data_dir.stat().st_mode & 0o077 == 0
