import ssl

import pytest

from certificates import write_pair
from littoral.app.certificate import trust_in
from littoral.app.command.reach import Reach
from littoral.app.command.site import target
from littoral.domain.errors import InvalidInput, Unavailable


@pytest.fixture(autouse=True)
def no_variables(monkeypatch, tmp_path):
    monkeypatch.delenv("LITTORAL_KEY_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_another_instance_needs_its_own_key(tmp_path):
    (tmp_path / "admin.key").write_text("local")
    with pytest.raises(InvalidInput, match="needs a key"):
        target(Reach(url="https://far.example", data_dir=tmp_path))


def test_a_key_may_stand_in_a_file(tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text("lit-sk-x\n")
    monkeypatch.setenv("LITTORAL_KEY_FILE", str(file))
    found = target(Reach(url="https://far.example/v1/"))
    assert (found.url, found.key) == ("https://far.example", "lit-sk-x")
    file.unlink()
    with pytest.raises(InvalidInput, match="there is no key in"):
        target(Reach(url="https://far.example"))


@pytest.mark.parametrize(
    "url",
    [
        "far.example",
        "ftp://x",
        "http://",
        "",
        "http://[::1",
        "http://h:99999",
        "http://a b",
        "http://é",
    ],
)
def test_an_address_must_be_one(url):
    with pytest.raises(InvalidInput, match="must look like"):
        target(Reach(url=url, key="k"))


@pytest.mark.parametrize("key", ["schlüssel", "one\nother"])
def test_a_key_must_be_one_line_of_ascii_and_is_not_repeated(key):
    with pytest.raises(InvalidInput, match="one line") as caught:
        target(Reach(url="https://far.example", key=key))
    assert key not in caught.value.message


def test_nothing_running_says_how_to_start(tmp_path):
    with pytest.raises(Unavailable, match="littoral up"):
        target(Reach(data_dir=tmp_path))


def test_only_the_shown_certificate_is_trusted_here(tmp_path):
    context = trust_in(str(write_pair(tmp_path)))
    assert context.cert_store_stats()["x509"] == 1
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert trust_in("") is True
    with pytest.raises(InvalidInput, match="cannot be read"):
        trust_in(str(tmp_path / "none.pem"))


def test_an_authority_of_ones_own_must_be_readable(tmp_path):
    found = target(Reach(url="https://far.example", key="k", authority=write_pair(tmp_path)))
    assert found.trusted is not True
    with pytest.raises(InvalidInput, match="--authority"):
        target(Reach(url="https://far.example", key="k", authority=tmp_path / "none.pem"))
