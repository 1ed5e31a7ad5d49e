"""One suite for Registrar, over TLS to a real listener and on its twin."""

import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio
import pytest

from authorities import Cluster
from controls import Cloud
from littoral.app.system import SystemClock
from littoral.client.registrar import HttpRegistrar
from littoral.control.listener import listen
from littoral.domain.enrolment import JoinRequest, Place, RenewRequest, Trusted
from littoral.domain.errors import (
    ControlUnreachable,
    InvalidInput,
    NotOurs,
    TokenUsed,
    WrongAuthority,
    WrongToken,
)
from littoral.domain.ids import NodeId
from littoral.domain.registrar import Registrar
from littoral.domain.units import Micros
from littoral.testing.entropy import SeededEntropy
from littoral.testing.registrar import MemoryRegistrar
from littoral.trust import certificate as trust

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@dataclass
class World:
    registrar: Registrar
    cloud: Cloud
    url: str

    @property
    def trusted(self) -> Trusted:
        root = self.cloud.control.desk.authority.bundle()
        return Trusted(url=self.url, roots=root, cluster=trust.cluster_of(root))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@asynccontextmanager
async def served(cloud: Cloud, port: int):
    async def certificate() -> trust.Issuer:
        return cloud.control.desk.authority.server(("127.0.0.1",))

    place = Place(host="127.0.0.1", port=port)
    async with anyio.create_task_group() as group:
        group.start_soon(listen, cloud.control.public, place, certificate)
        for _ in range(200):
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                break
            except OSError:
                await anyio.sleep(0.02)
        yield
        group.cancel_scope.cancel()


@pytest.fixture(params=["tls", "memory"])
async def world(request: pytest.FixtureRequest):
    cloud = Cloud(clock=SystemClock()).start()
    if request.param == "memory":
        yield World(MemoryRegistrar({cloud.url: cloud.control.door}), cloud, cloud.url)
        return
    port = free_port()
    async with served(cloud, port):
        yield World(HttpRegistrar(), cloud, f"https://127.0.0.1:{port}")


def request_of(token: str, seed: int = 5) -> JoinRequest:
    key = trust.make_key(SeededEntropy(seed).bytes(48))
    return JoinRequest(token=token, csr=trust.request(key), name="edge")


async def test_the_roots_are_shown_to_anybody(world):
    shown = (await world.registrar.authorities(world.url)).ca
    assert shown == world.trusted.roots


async def test_a_token_makes_a_node_and_a_used_one_does_not(world):
    token = world.cloud.token()
    answer = await world.registrar.join(world.trusted, request_of(token))
    assert trust.holder(answer.chain).node == answer.node
    with pytest.raises(TokenUsed):
        await world.registrar.join(world.trusted, request_of(token, seed=6))
    with pytest.raises(InvalidInput):
        await world.registrar.join(world.trusted, request_of("litj1"))


async def test_control_says_why_it_refuses(world):
    token = world.cloud.token()
    wrong = token[:-2] + ("aa" if token[-2:] != "aa" else "bb")
    with pytest.raises(WrongToken, match="invite"):
        await world.registrar.join(world.trusted, request_of(wrong))


async def test_a_certificate_is_renewed_by_proof(world):
    request = request_of(world.cloud.token())
    answer = await world.registrar.join(world.trusted, request)
    nonce = (await world.registrar.challenge(world.trusted, answer.node)).nonce
    key = trust.make_key(SeededEntropy(5).bytes(48))
    proof = trust.prove(
        key, holder=trust.holder(answer.chain), nonce=bytes.fromhex(nonce), csr=request.csr
    )
    asked = RenewRequest(chain=answer.chain, csr=request.csr, nonce=nonce, signature=proof.hex())
    issued = await world.registrar.renew(world.trusted, answer.node, asked)
    assert trust.holder(issued.chain).life.serial != trust.holder(answer.chain).life.serial
    with pytest.raises(NotOurs):
        await world.registrar.renew(world.trusted, answer.node, asked)


async def test_another_clusters_roots_find_nobody_to_trust(world):
    other = Cluster(name=world.trusted.cluster, seed=9, now=SystemClock().wall())
    with pytest.raises(WrongAuthority):
        await world.registrar.challenge(replace(world.trusted, roots=other.root), NodeId("nd_1"))


class Apart(SystemClock):
    """The clock of another host, so many days off ours."""

    def __init__(self, days: float) -> None:
        self._off_us = round(days * 86_400e6)

    def wall(self):
        return Micros(super().wall() + self._off_us)


@pytest.mark.parametrize(("days", "ok"), [(4, True), (-40, False)])
async def test_a_host_that_is_behind_joins_and_one_that_is_ahead_does_not(days, ok):
    """What has not begun may be for our clock; what has ended may be in other hands."""
    cloud = Cloud(clock=Apart(days)).start()
    port = free_port()
    async with served(cloud, port):
        there = World(HttpRegistrar(), cloud, f"https://127.0.0.1:{port}")
        if ok:
            answer = await there.registrar.join(there.trusted, request_of(cloud.token()))
            assert trust.holder(answer.chain).node == answer.node
            foreign = Cluster(name=there.trusted.cluster, seed=9, now=cloud.clock.wall())
            wrong = replace(there.trusted, roots=foreign.root)
        else:
            wrong = there.trusted
        with pytest.raises(WrongAuthority):
            await there.registrar.challenge(wrong, NodeId("nd_1"))


async def test_a_server_of_another_name_is_not_control(world):
    with pytest.raises(WrongAuthority):
        await world.registrar.challenge(
            replace(world.trusted, cluster="cl_" + "q" * 26), NodeId("nd_1")
        )


async def test_nobody_at_the_address_is_said(world):
    nowhere = f"https://127.0.0.1:{free_port()}"
    with pytest.raises(ControlUnreachable, match=nowhere):
        await world.registrar.authorities(nowhere)
    with pytest.raises(ControlUnreachable):
        await world.registrar.challenge(replace(world.trusted, url=nowhere), NodeId("nd_1"))
