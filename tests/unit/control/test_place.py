"""What each node gets: by its site, its tier and its labels."""

from dataclasses import replace

import pytest

from controls import Cloud
from littoral.control.api.model import scene
from littoral.control.check import check_spec
from littoral.control.compiler import without_secrets
from littoral.control.standing import deployment_view
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.enrolment import Tier
from littoral.domain.errors import InvalidInput
from littoral.domain.ids import NodeId
from littoral.domain.life import EXTEND_US
from littoral.domain.node import Enrolled, Node
from littoral.domain.resource import Metadata, Resource
from littoral.domain.selector import Where
from littoral.domain.site import SiteSpec
from littoral.domain.units import HOUR_US, Micros, Seconds
from littoral.domain.view import KeyRequest
from littoral.trust.key import verify

ENROLLED = Enrolled(joined_us=Micros(1), serials=("1",), until_us=Micros(2))


class Places(Cloud):
    """Control with nodes of its choice."""

    def learn(self, name: str, *, site: str = "default", tier: Tier = "edge", **labels: str):
        row = Node(
            id=NodeId(name),
            name=name,
            state="joined",
            seen_us=Micros(0),
            build="0",
            site=site,
            tier=tier,
            labels=labels,
            enrolled=ENROLLED,
        )
        self.control.desk.fleet.learn(row)
        return row.id

    def put(self, kind, name, spec) -> None:
        self.state.put(Resource(kind=kind, metadata=Metadata(name=name), spec=spec))

    def deploy(self, name: str, where: Where | None) -> None:
        self.put("Deployment", name, DeploymentSpec(engine="fake", model="x", where=where))

    def compile(self, node):
        return self.control.desk.publisher.compile(NodeId(node))

    def runs(self, node) -> set[str]:
        return {each.name for each in self.compile(node).assignments}

    def why(self, name: str) -> str:
        desk = self.control.desk
        found = desk.resources.get("Deployment", name)
        view = deployment_view(found, scene(desk))
        assert view is not None
        return view.why


@pytest.fixture
def cloud() -> Places:
    made = Places()
    made.start()
    return made


def test_a_node_gets_what_selects_it_and_nothing_else(cloud) -> None:
    cloud.deploy("usual", None)
    cloud.deploy("everywhere", Where())
    cloud.deploy("edge", Where(tier="edge"))
    cloud.deploy("north", Where(site="north"))
    cloud.deploy("small", Where(device_class="small"))
    cloud.learn("nd_n", site="north", **{"class": "small"})
    cloud.learn("nd_e")
    cloud.learn("nd_c", tier="cloud")
    assert cloud.runs("nd_n") == {"everywhere", "edge", "north", "small"}
    assert cloud.runs("nd_e") == {"everywhere", "edge"}
    assert cloud.runs("nd_c") == {"everywhere", "usual"}
    assert cloud.runs("nd_stranger") == {"everywhere", "usual"}


def test_another_label_is_another_version(cloud) -> None:
    cloud.deploy("small", Where(device_class="small"))
    cloud.learn("nd_e")
    before = cloud.compile("nd_e")
    cloud.learn("nd_e", **{"class": "small"})
    after = cloud.compile("nd_e")
    assert (before.assignments, len(after.assignments)) == ((), 1)
    assert after.version == before.version + 1


def test_a_key_is_known_at_every_site_under_that_sites_pepper(cloud) -> None:
    made = cloud.control.desk.keys.mint(KeyRequest(name="k"))
    cloud.learn("nd_n", site="north")
    cloud.learn("nd_s", site="south")
    north, south = cloud.compile("nd_n"), cloud.compile("nd_s")
    assert (north.site, south.site) == ("north", "south")
    assert len({north.pepper, south.pepper, cloud.compile("nd_own").pepper}) == 3
    for snapshot in (north, south):
        grants = {grant.id: grant for grant in snapshot.keys}
        assert verify(made.secret.encode(), grants, pepper=snapshot.pepper) is not None
    stolen = {grant.id: grant for grant in north.keys}
    assert verify(made.secret.encode(), stolen, pepper=south.pepper) is None
    cloud.start()
    cloud.learn("nd_n", site="north")
    assert cloud.compile("nd_n").pepper == north.pepper
    assert north.pepper not in b"".join(cloud.state.values("").values())
    assert without_secrets(north).pepper == b""


def test_a_new_key_reaches_a_site_that_was_compiled_before(cloud) -> None:
    cloud.learn("nd_n", site="north")
    before = cloud.compile("nd_n")
    made = cloud.control.desk.keys.mint(KeyRequest(name="k", survives=True))
    grants = {grant.id: grant for grant in cloud.compile("nd_n").keys}
    assert grants[made.key.id].survives
    assert len(grants) == len(before.keys) + 1
    cloud.control.desk.keys.revoke(made.key.id)
    grants = {grant.id: grant for grant in cloud.compile("nd_n").keys}
    assert grants[made.key.id].revoked


def test_the_life_of_a_snapshot_is_its_sites_and_is_extended_each_hour(cloud) -> None:
    cloud.put("Site", "north", SiteSpec(snapshot_hours=5))
    cloud.learn("nd_n", site="north")
    cloud.learn("nd_e")
    first = cloud.compile("nd_n")
    assert first.not_after_us == first.issued_us + 5 * HOUR_US
    usual = cloud.compile("nd_e")
    assert usual.not_after_us == usual.issued_us + 72 * HOUR_US
    cloud.clock.advance(Seconds(EXTEND_US / 1e6 - 1))
    assert cloud.compile("nd_n") == first
    cloud.clock.advance(Seconds(1.0))
    second = cloud.compile("nd_n")
    number, until = second.version, second.not_after_us
    assert (number, until) == (first.version + 1, first.not_after_us + EXTEND_US)
    assert replace(second, version=1, issued_us=first.issued_us, not_after_us=None) == replace(
        first, version=1, not_after_us=None
    )


def test_the_node_beside_control_is_never_too_old(cloud) -> None:
    first = cloud.compile("nd_own")
    assert first.not_after_us is None
    cloud.clock.advance(Seconds(EXTEND_US / 1e6))
    assert cloud.compile("nd_own") == first


def test_why_a_deployment_waits_names_what_it_is_for(cloud) -> None:
    cloud.deploy("small", Where(site="north", device_class="small"))
    assert cloud.why("small") == "there is no node for it yet; it is for: site north, class small"
    cloud.learn("nd_n", site="north", **{"class": "small"})
    assert cloud.why("small") == "the node is starting it"


def test_a_site_that_does_not_exist_is_refused() -> None:
    spec = DeploymentSpec(engine="fake", model="x", where=Where(site="nowhere"))
    with pytest.raises(InvalidInput, match="no site 'nowhere'; known: default"):
        check_spec(spec, {("Deployment", "x"): spec}, {})
