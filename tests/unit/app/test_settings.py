"""Where a setting comes from, and what is refused."""

from pathlib import Path

import pytest

from littoral.app.settings import FIELDS, Settings, from_json, load
from littoral.domain.errors import InvalidInput

HOME = {"HOME": "/home/ada"}


def file_of(folder: Path, text: str) -> Path:
    path = folder / "littoral.toml"
    path.write_text(text)
    return path


def test_the_data_folder_follows_the_xdg_rules() -> None:
    assert load({}, HOME).data_dir == "/home/ada/.local/share/littoral"
    assert load({}, {"XDG_DATA_HOME": "/data"}).data_dir == "/data/littoral"


def test_a_flag_wins_over_a_variable_over_the_file_over_the_default(tmp_path: Path) -> None:
    file = file_of(tmp_path, 'port = 1000\nname = "one"\nlog_level = "debug"\n')
    environ = HOME | {"LITTORAL_PORT": "2000", "LITTORAL_NAME": "two"}
    settings = load({"port": 3000, "name": None}, environ, file)
    assert (settings.port, settings.name, settings.log_level) == (3000, "two", "debug")
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("flags", "environ", "text"),
    [
        ({"prot": 1}, {}, ""),
        ({}, {"LITTORAL_PROT": "1"}, ""),
        ({}, {}, "prot = 1\n"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    flags: dict[str, int], environ: dict[str, str], text: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"(?i)unknown setting '\w*prot' in .*port"):
        load(flags, HOME | environ, file_of(tmp_path, text))


def test_the_clients_own_variables_are_no_settings() -> None:
    assert load({}, HOME | {"LITTORAL_URL": "http://127.0.0.1:1", "LITTORAL_KEY": "k"}).port == 8080


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "eighty"),
        ("port", 70000),
        ("port", True),
        ("port", ("1",)),
        ("flight_slots", 1),
        ("crash_limit", -1),
        ("restart_max_s", "soon"),
        ("restart_max_s", True),
        ("restart_max_s", 4000.5),
        ("insecure_behind_proxy", "perhaps"),
        ("log_level", "loud"),
        ("name", "No Name"),
        ("name", 3),
        ("data_dir", "relative"),
        ("data_dir", "/" + "x" * 100),
        ("host", "example.org"),
        ("host", "192.0.2.1"),
        ("pass_environment", 3),
    ],
)
def test_a_value_out_of_its_range_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        load({name: value}, HOME)


def test_another_address_needs_a_proxy_that_is_vouched_for() -> None:
    settings = load({"host": "192.0.2.1", "insecure_behind_proxy": True}, HOME)
    assert settings.host == "192.0.2.1"


def test_another_address_may_be_served_with_a_certificate() -> None:
    pair = {"tls_certificate": "/etc/c.pem", "tls_key": "/etc/k.pem"}
    assert load({"host": "192.0.2.1", **pair}, HOME).host == "192.0.2.1"


@pytest.mark.parametrize(
    ("flags", "param"),
    [
        ({"tls_certificate": "/etc/c.pem"}, "tls_key"),
        ({"tls_key": "/etc/k.pem"}, "tls_certificate"),
        ({"tls_certificate": "c.pem", "tls_key": "/etc/k.pem"}, "tls_certificate"),
        ({"tls_least": "1.1"}, "tls_least"),
    ],
)
def test_half_a_certificate_is_refused(flags: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(flags, HOME)
    assert caught.value.param == param


def test_text_becomes_the_type_of_its_setting() -> None:
    environ = HOME | {
        "LITTORAL_INSECURE_BEHIND_PROXY": "yes",
        "LITTORAL_PASS_ENVIRONMENT": "HTTPS_PROXY, NO_PROXY",
    }
    settings = load({}, environ)
    assert settings.insecure_behind_proxy
    assert load({}, HOME | {"LITTORAL_RESTART_MAX_S": "0.5"}).restart_max_s == 0.5
    assert settings.pass_environment == ("HTTPS_PROXY", "NO_PROXY")


def test_a_file_that_was_asked_for_must_exist_and_be_toml(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no settings file"):
        load({}, HOME, tmp_path / "none.toml")
    with pytest.raises(InvalidInput, match="no settings file"):
        load({}, HOME | {"LITTORAL_CONFIG": str(tmp_path / "none.toml")})
    with pytest.raises(InvalidInput, match="cannot be read"):
        load({}, HOME, file_of(tmp_path, "port = = 1"))


def test_the_file_is_found_through_the_environment(tmp_path: Path) -> None:
    file = file_of(tmp_path, "port = 1000\n")
    assert load({}, HOME | {"LITTORAL_CONFIG": str(file)}).port == 1000


def test_settings_survive_the_way_to_a_child() -> None:
    settings = Settings(data_dir="/data", port=1, pass_environment=("A", "B"), drain_s=0)
    assert from_json(settings.to_json()) == settings


def test_every_setting_says_what_it_does() -> None:
    assert all(entry.metadata["help"] for entry in FIELDS.values())


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("proxy", "proxy.example:3128", "must look like http://proxy.example:3128"),
        ("proxy", "https://proxy.example", "must look like"),
        ("proxy", "http://proxy.example:99999", "must look like"),
        ("proxy", "socks5://10.0.0.1:1080", "must look like"),
        ("peer_listen", "0.0.0.0:8446", "give the one on the site's network"),
        ("peer_listen", "quay:8446", "must be an IP address and a port"),
    ],
)
def test_a_way_to_others_that_cannot_work_is_refused(name, value, why):
    with pytest.raises(InvalidInput, match=why) as refused:
        load({"data_dir": "/d", name: value}, {})
    assert refused.value.param == name


@pytest.mark.parametrize("value", ["http://proxy.example", "http://us:p%40ss@[fd00::1]:3128/", ""])
def test_http_proxies_are_taken(value):
    assert load({"data_dir": "/d", "proxy": value}, {}).proxy == value
