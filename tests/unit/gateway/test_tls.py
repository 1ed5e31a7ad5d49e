"""The certificate of the public listener, and its renewal."""

import ssl

import pytest

from certificates import write_pair
from littoral.gateway.wire.tls import Certificate


@pytest.fixture
def pair(tmp_path):
    return str(write_pair(tmp_path)), str(tmp_path / "key.pem")


def test_nothing_is_new_while_the_files_stay(pair):
    assert Certificate(*pair, least="1.3").renew() is None


def test_a_new_pair_is_taken_once(pair, tmp_path):
    shown = Certificate(*pair, least="1.3")
    write_pair(tmp_path, serial=2)
    assert shown.renew() == ""
    assert shown.renew() is None


def test_a_new_certificate_without_its_key_is_refused_until_the_key_comes(pair, tmp_path):
    shown = Certificate(*pair, least="1.3")
    elsewhere = tmp_path / "new"
    elsewhere.mkdir()
    new = write_pair(elsewhere, serial=2)
    (tmp_path / "certificate.pem").write_bytes(new.read_bytes())
    assert "not served" in shown.renew()
    assert shown.renew() is None
    (tmp_path / "key.pem").write_bytes((elsewhere / "key.pem").read_bytes())
    assert shown.renew() == ""


def test_a_file_that_is_gone_is_said(pair, tmp_path):
    shown = Certificate(*pair, least="1.3")
    (tmp_path / "key.pem").unlink()
    assert "No such file" in shown.renew()


def test_the_least_version_is_that_of_the_setting(pair):
    assert Certificate(*pair, least="1.2").context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert Certificate(*pair, least="1.3").context.minimum_version == ssl.TLSVersion.TLSv1_3


def test_what_is_no_pair_is_not_begun_with(tmp_path):
    (tmp_path / "a.pem").write_text("no certificate")
    with pytest.raises(OSError, match="PEM"):
        Certificate(str(tmp_path / "a.pem"), str(tmp_path / "a.pem"), least="1.3")
