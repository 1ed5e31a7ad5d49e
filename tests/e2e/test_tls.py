"""The public listener with a certificate of its own: real processes, real handshakes."""

import json
import socket
import ssl
import subprocess
import sys

import pytest

from certificates import write_pair
from e2e.conftest import PACKAGES, Site

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    site = Site(folder / "data", certificate=write_pair(folder))
    site.start()
    try:
        site.deploy("echo", engine="fake", model="echo")
        yield site
    finally:
        site.stop()


def handshake(site, context):
    with (
        socket.create_connection(("127.0.0.1", site.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        return wrapped.version(), wrapped.getpeercert(binary_form=True)


def careless():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_a_chat_goes_through_tls(secure):
    assert secure.request("POST", "/v1/chat/completions", CHAT)[0] == 200
    assert handshake(secure, careless())[0] == "TLSv1.3"


def test_a_stream_goes_through_tls(secure):
    with secure.open("POST", "/v1/chat/completions", {**CHAT, "stream": True}) as reply:
        assert reply.read().endswith(b"data: [DONE]\n\n")


def test_an_older_tls_is_refused(secure):
    context = careless()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(secure, context)


def test_plain_http_gets_no_answer_on_a_tls_port(secure):
    with socket.create_connection(("127.0.0.1", secure.port), 10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = plain.recv(100)
    assert not heard.startswith(b"HTTP")


def test_the_command_line_trusts_what_its_own_instance_shows(secure):
    words = [sys.executable, "-m", "littoral", "status", "--json"]
    done = subprocess.run(
        [*words, "--data-dir", str(secure.data_dir)],
        env={"PYTHONPATH": PACKAGES, "HOME": str(secure.data_dir)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["url"].startswith("https://")


def test_a_new_certificate_is_shown_while_an_old_connection_goes_on(secure):
    old = handshake(secure, careless())[1]
    lasting = secure.connect()
    headers = {"authorization": f"Bearer {secure.key}"}
    lasting.request("GET", "/v1/models", headers=headers)
    assert lasting.getresponse().read()
    write_pair(secure.data_dir.parent, serial=2)
    secure.wait_for(lambda: handshake(secure, careless())[1] != old, "the new certificate")
    lasting.request("GET", "/v1/models", headers=headers)
    assert lasting.getresponse().status == 200
    lasting.close()
