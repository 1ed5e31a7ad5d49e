"""Joining as a machine does it, cut off anywhere and done again."""

from dataclasses import replace

import pytest

from authorities import Cluster
from controls import URL, Cloud
from littoral.domain.enrolment import (
    CARD,
    CHAIN,
    KEY,
    NEXT_KEY,
    PENDING,
    Authorities,
    Inventory,
)
from littoral.domain.errors import (
    ControlUnreachable,
    Damaged,
    InvalidInput,
    NotOurs,
    StorageFull,
    WrongAuthority,
)
from littoral.node.enrolment import Joining, Wish, renew_late
from littoral.node.identity import IdentityStore
from littoral.testing.disk import MemoryDisk
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints, Crash
from littoral.testing.registrar import MemoryRegistrar
from littoral.trust import certificate as trust

pytestmark = pytest.mark.anyio
DAY = 86_400


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Rogue:
    """Answers as control would, with roots of its own; remembers what it was told."""

    def __init__(self, cluster: Cluster, *, shows: str = "") -> None:
        self.cluster = cluster
        self.shows = shows or cluster.root
        self.told = []

    async def authorities(self):
        return Authorities(ca=self.shows)

    async def join(self, request, *, address):
        self.told.append((request, address))
        raise AssertionError("a token was told")

    async def challenge(self, node):
        raise AssertionError(node)

    async def renew(self, node, request):
        raise AssertionError((node, request))


class Machine:
    """A machine that may join, and what it stands on."""

    def __init__(self, cloud: Cloud, seed: int = 20) -> None:
        self.cloud = cloud
        self.disk = MemoryDisk()
        self.failpoints = ArmedFailpoints()
        self.entropy = SeededEntropy(seed)
        self.registrar = MemoryRegistrar({URL: cloud.control.door})

    @property
    def store(self) -> IdentityStore:
        return IdentityStore(self.disk, self.failpoints)

    async def join(self, token: str, *, former=None, url: str = URL):
        joining = Joining(
            self.store,
            disk=self.disk,
            registrar=self.registrar,
            clock=self.cloud.clock,
            entropy=self.entropy,
        )
        wish = Wish(url=url, token=token, name="edge", facts=Inventory(cores=2, build="0.1.0"))
        return await joining.join(wish, former=former)

    async def renew(self):
        held = self.store.read()
        csr = trust.request(held.key)
        return await renew_late(held, csr, registrar=self.registrar)


@pytest.fixture
def cloud():
    return Cloud().start()


@pytest.fixture
def machine(cloud):
    return Machine(cloud)


async def test_a_machine_keeps_who_it_is_for_its_own_eyes_only(machine, cloud):
    held = await machine.join(cloud.token())
    assert machine.store.read() == held
    assert all(machine.disk.private[name] for name in machine.disk.files)
    assert PENDING not in machine.disk.files
    (node,) = cloud.control.desk.fleet.nodes()
    assert (node.id, node.inventory.cores) == (held.identity.node, 2)


async def test_the_key_never_leaves(machine, cloud):
    held = await machine.join(cloud.token())
    secret = held.key.splitlines()[1]
    values = b"".join(cloud.state.values("").values()).decode("utf-8", "replace")
    assert secret not in values


async def test_a_rogue_authority_is_told_nothing(machine, cloud):
    rogue = Rogue(Cluster(seed=9))
    machine.registrar.doors[URL] = rogue
    with pytest.raises(WrongAuthority, match="nothing was told"):
        await machine.join(cloud.token())
    assert rogue.told == []
    assert machine.disk.files == {}


async def test_showing_the_right_root_without_its_key_is_not_enough(machine, cloud):
    """The twin trusts by roots; the real transport, by handshake, is in the contract suite."""
    machine.registrar.doors[URL] = Rogue(
        Cluster(seed=9), shows=cloud.control.desk.authority.bundle()
    )
    with pytest.raises(AssertionError):
        await machine.join(cloud.token())
    machine.registrar.doors[URL] = cloud.control.door
    assert await machine.join(cloud.token())


@pytest.mark.parametrize("point", ["identity.written"])
async def test_a_join_that_is_cut_off_goes_on_as_the_same_node(machine, cloud, point):
    token = cloud.token()
    machine.failpoints.arm(point)
    with pytest.raises(Crash):
        await machine.join(token)
    assert machine.store.read() is None
    machine.failpoints.disarm(point)
    held = await machine.join(token)
    assert [node.id for node in cloud.control.desk.fleet.nodes()] == [held.identity.node]
    assert machine.store.read() == held


async def test_a_lost_answer_strands_nobody(machine, cloud):
    token = cloud.token()
    cloud.failpoints.arm("join.signed")
    with pytest.raises(Crash):
        await machine.join(token)
    cloud.failpoints.disarm("join.signed")
    cloud.start()
    machine.registrar.doors[URL] = cloud.control.door
    held = await machine.join(token)
    assert [node.id for node in cloud.control.desk.fleet.nodes()] == [held.identity.node]


async def test_a_full_disk_leaves_the_token_good(machine, cloud):
    token = cloud.token()
    machine.disk.full = True
    with pytest.raises(StorageFull):
        await machine.join(token)
    machine.disk.full = False
    assert await machine.join(token)
    assert len(cloud.control.desk.fleet.nodes()) == 1


async def test_another_token_after_a_cut_is_another_request(machine, cloud):
    machine.failpoints.arm("identity.written")
    with pytest.raises(Crash):
        await machine.join(cloud.token())
    machine.failpoints.disarm("identity.written")
    held = await machine.join(cloud.token())
    assert held.identity.name == "edge-2"


async def test_joining_anew_replaces_the_old_node(machine, cloud):
    old = await machine.join(cloud.token())
    new = await machine.join(cloud.token(), former=old)
    states = {node.id: node.state for node in cloud.control.desk.fleet.nodes()}
    assert states == {old.identity.node: "replaced", new.identity.node: "joined"}
    assert machine.store.read() == new


async def test_what_is_no_token_asks_nobody(machine):
    machine.registrar.doors.clear()
    with pytest.raises(InvalidInput, match="no join token"):
        await machine.join("hello")


async def test_nobody_at_the_address_is_said(machine, cloud):
    machine.registrar.doors.clear()
    with pytest.raises(ControlUnreachable, match=URL):
        await machine.join(cloud.token())


async def test_an_expired_certificate_is_renewed_by_proof(machine, cloud):
    held = await machine.join(cloud.token())
    cloud.clock.advance(20 * DAY)
    issued = await machine.renew()
    machine.store.take(held.identity, key=held.key, chain=issued.chain, ca=issued.ca)
    assert machine.store.read().life.end_us > cloud.clock.wall()


async def test_each_address_of_control_is_tried(machine, cloud):
    held = await machine.join(cloud.token())
    identity = replace(held.identity, public_urls=("https://gone:1", URL))
    machine.store.take(identity, key=held.key, chain=held.chain, ca=held.ca)
    assert (await machine.renew()).chain
    machine.registrar.doors.clear()
    with pytest.raises(ControlUnreachable, match=URL):
        await machine.renew()


async def test_a_refusal_is_final_whatever_other_addresses_there_are(machine, cloud):
    held = await machine.join(cloud.token())
    identity = replace(held.identity, public_urls=(URL, "https://gone:1"))
    machine.store.take(identity, key=held.key, chain=held.chain, ca=held.ca)
    cloud.clock.advance(40 * DAY)
    with pytest.raises(NotOurs, match="30 days"):
        await machine.renew()


async def test_a_new_key_and_its_chain_change_together(machine, cloud):
    held = await machine.join(cloud.token())
    key = machine.store.next_key(b"n" * 48)
    assert machine.store.next_key(b"m" * 48) == key
    csr = trust.request(key)
    issued = await renew_late(held, csr, registrar=machine.registrar)
    machine.failpoints.arm("identity.written")
    with pytest.raises(Crash):
        machine.store.take(held.identity, key=key, chain=issued.chain, ca=issued.ca)
    found = machine.store.read()
    assert (found.key, found.chain) == (key, issued.chain)
    assert machine.disk.files[KEY] == key.encode()
    assert NEXT_KEY not in machine.disk.files


async def test_a_certificate_of_another_node_or_key_is_not_taken(machine, cloud):
    held = await machine.join(cloud.token())
    other = await Machine(cloud, seed=30).join(cloud.token())
    for chain, key in ((other.chain, other.key), (other.chain, held.key)):
        with pytest.raises(WrongAuthority):
            machine.store.take(held.identity, key=key, chain=chain, ca=held.ca)
    rogue = Cluster(name=held.identity.cluster, seed=9)
    forged = rogue.chain(trust.request(held.key), held.identity.node)
    with pytest.raises(WrongAuthority):
        machine.store.take(held.identity, key=held.key, chain=forged, ca=held.ca)
    assert machine.store.read() == held


@pytest.mark.parametrize("name", [CARD, CHAIN, KEY, "identity/ca.pem"])
async def test_files_that_do_not_belong_together_are_said_to_be_damaged(machine, cloud, name):
    await machine.join(cloud.token())
    other = Machine(cloud, seed=30)
    await other.join(cloud.token())
    if name != "identity/ca.pem":
        machine.disk.files[name] = other.disk.files[name]
    else:
        machine.disk.remove(name)
    with pytest.raises(Damaged, match="join again"):
        machine.store.read()
    machine.disk.files[CARD] = b"{"
    with pytest.raises(Damaged):
        machine.store.read()


async def test_a_machine_may_forget_that_it_was_a_node(machine, cloud):
    await machine.join(cloud.token())
    machine.store.next_key(b"n" * 48)
    machine.store.drop_next_key()
    machine.store.forget()
    assert machine.store.read() is None
    assert machine.disk.files == {}
