"""The URL of an upstream: taken apart strictly, its addresses judged."""

from dataclasses import replace

import pytest

from littoral.domain.deployment import Assignment, UpstreamGrant
from littoral.domain.endpoint import EngineSpec, Machine
from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.ids import DeploymentName, UpstreamName
from littoral.domain.units import Bytes
from littoral.engines.openai import OpenAICompatible, Place, taken_apart
from littoral.trust.address import verdict


@pytest.fixture
def anyio_backend():
    return "asyncio"


def grant(url: str) -> UpstreamGrant:
    return UpstreamGrant(name=UpstreamName("far"), url=url, credential=None)


def spec(url: str) -> EngineSpec:
    assignment = Assignment(
        name=DeploymentName("d"),
        revision=1,
        serves="d",
        engine="openai",
        model="m",
        upstream=grant(url),
    )
    machine = Machine(cores=1, memory=Bytes(1), memory_free=Bytes(1))
    return EngineSpec(assignment=assignment, artefact_path=None, machine=machine, threads=1)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://api.test/v1", Place(tls=True, host="api.test", port=443, base="/v1")),
        ("http://10.0.0.7:8000/v1/", Place(tls=False, host="10.0.0.7", port=8000, base="/v1")),
        ("http://[::1]:80", Place(tls=False, host="::1", port=80, base="")),
        ("HTTPS://API.test/a/b", Place(tls=True, host="api.test", port=443, base="/a/b")),
    ],
)
def test_a_good_url_is_taken_apart(url, place):
    assert taken_apart(grant(url)) == place


@pytest.mark.parametrize(
    "url",
    [
        "ftp://api.test/v1",
        "api.test/v1",
        "http://",
        "https://user:word@api.test/v1",
        "https://api.test@evil.test/v1",
        "https://api.test/v1?x=1",
        "https://api.test/v1#x",
        "http:\\\\api.test/v1",
        "http://api.test:99999/v1",
        "http://2130706433/v1",
        "http://0x7f.1/v1",
        "http://[fe80::1%25eth0]/v1",
        "http://api .test/v1",
        "http://api.test/a b\r\nx: y",
    ],
)
def test_a_bad_url_is_refused(url):
    with pytest.raises(InvalidInput):
        taken_apart(grant(url))


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[::]"])
async def test_addresses_of_no_upstream_are_not_dialled(host):
    with pytest.raises(UpstreamFailed, match="may not be dialled"):
        async with OpenAICompatible(verdict=verdict).launch(spec(f"http://{host}:80/v1")):
            pass


@pytest.mark.anyio
async def test_an_upstream_that_is_not_there_is_said_so():
    with pytest.raises(UpstreamFailed, match="does not answer"):
        async with OpenAICompatible(verdict=verdict).launch(spec("http://127.0.0.1:1/v1")):
            pass


def test_the_engine_needs_an_upstream():
    without = replace(spec("http://a.test/v1").assignment, upstream=None)
    with pytest.raises(InvalidInput, match="needs an upstream"):
        OpenAICompatible(verdict=verdict).check(replace(spec("http://a/"), assignment=without))
