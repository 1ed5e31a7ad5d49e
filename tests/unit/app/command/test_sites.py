"""Sites and their nodes on the command line; those that are gone stand in nobody's way."""

from dataclasses import replace

import pytest

from littoral.domain.ids import NodeId
from littoral.domain.node import Node
from littoral.domain.units import Micros
from littoral.domain.view import Document, DocumentMetadata

NEW = Node(
    id=NodeId("nd_2"),
    name="kiosk",
    state="connected",
    seen_us=Micros(1),
    build="0.1.0",
    site="harbour",
)
OLD = replace(NEW, id=NodeId("nd_1"), state="replaced", mark="replaced")
HARBOUR = Document(
    kind="Site", metadata=DocumentMetadata(name="harbour"), spec={"title": "Pier 4"}, version=1
)


@pytest.fixture(autouse=True)
def fleet(stand_in):
    stand_in.on("GET /api/v1/nodes", {"items": [OLD, NEW]})
    stand_in.on("GET /api/v1/shares", {"items": []})
    stand_in.on("GET /api/v1/resources/Site", {"items": [HARBOUR]})


def test_a_site_counts_a_machine_that_joined_anew_once(call):
    row = call("sites", "list").out.splitlines()[1]
    assert row.split() == ["harbour", "Pier", "4", "1", "30", "d", "72", "h", "-"]


def test_a_name_shows_the_node_that_has_it_now(call):
    assert "(nd_2)  connected" in call("nodes", "show", "kiosk").out
    assert "(nd_1)  replaced" in call("nodes", "show", "nd_1").out


@pytest.mark.parametrize("words", [("label", "kiosk"), ("do", "kiosk", "log_tail")])
def test_a_label_or_argument_without_a_value_is_refused(call, words):
    said = call("nodes", *words, "small")
    assert said.status != 0
    assert "'small' must look like name=value" in said.err
